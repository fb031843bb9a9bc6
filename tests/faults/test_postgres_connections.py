"""Connections of a relay to PostgreSQL: refused, silent, slow, cancelled, all in use; what they hold is as it was."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import psycopg
import pytest
from psycopg import sql

from outbox_notify.config.settings import Settings
from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError
from outbox_notify.postgres import connections, pool
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Retry
from tests.support.claiming import Desk, claiming
from tests.support.outbox import fill
from tests.support.postgres import migrate
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from outbox_notify.relay.claims import ClaimedEvent
    from tests.support.proxy import Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

ACKED = Published("OUTBOX", 1)
# Quotes of both kinds, backslashes, what looks like parameters, other letters, and an end of the statement.
AWKWARD = r"""O'Brien \' \\ "x" %s %(ids)s $1 {0} ключ € 😀 '; DROP TABLE event_outbox; --"""
RELAYS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ 'relay'"
HOSTILE = {
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "client_encoding": "SJIS",
    "search_path": "nowhere",
    "default_transaction_isolation": "serializable",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "off",
    "synchronous_commit": "off",
}


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with claiming(database) as desk:
        yield desk


def backends(conn: psycopg.Connection) -> set[int]:
    return {row[0] for row in conn.execute(RELAYS).fetchall()}


@pytest.mark.parametrize("outcome", [Retry(AWKWARD), Released(AWKWARD), Failed(AWKWARD, counted=True)])
async def test_reasons_are_written_as_they_are_whatever_the_defaults_of_the_role(
    database: str, conn: psycopg.Connection, outcome: Outcome
) -> None:
    name = sql.Identifier(conn.info.dbname)
    for setting, value in HOSTILE.items():
        statement = sql.SQL("ALTER ROLE postgres IN DATABASE {} SET {} = {}")
        conn.execute(statement.format(name, sql.Identifier(setting), sql.Literal(value)))
    fill(conn, 3)
    # The desk's own connection is to be an ordinary one.
    async with claiming(database) as desk:
        desk.conn.close()
        desk.conn = conn
        ids = await desk.settle(outcome)
        assert [desk.row(row_id)["last_error"] for row_id in ids] == [AWKWARD] * 3


async def test_letters_that_the_database_does_not_know_are_written_as_their_numbers(
    database: str, conn: psycopg.Connection
) -> None:
    conn.execute("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    url = urlsplit(database)._replace(path="/latin").geturl()
    try:
        migrate(url)
        async with claiming(url) as desk:
            fill(desk.conn, 2)
            token, events = await desk.take()
            assert await desk.storage.settle(token, {events[0]: ACKED, events[1]: Retry("é, but ключ")}) == 0
            assert desk.row(events[0].id)["status"] == "published"
            assert desk.row(events[1].id)["last_error"] == r"\xe9, but \u043a\u043b\u044e\u0447"
    finally:
        conn.execute("DROP DATABASE latin WITH (FORCE)")


async def test_one_connection_is_enough_for_one_thing_at_a_time(desk: Desk) -> None:
    for _ in range(5):
        fill(desk.conn, 1)
        await desk.settle(ACKED)
    assert len(backends(desk.conn)) == 1


async def test_a_connection_that_was_ended_while_idle_is_replaced_unseen(desk: Desk) -> None:
    await desk.claim()
    (ended,) = backends(desk.conn)
    desk.conn.execute("SELECT pg_terminate_backend(%s, 5000)", [ended])
    await desk.claim()
    assert backends(desk.conn) - {ended}


async def test_prepared_statements_may_vanish_and_tables_change_at_any_time(desk: Desk) -> None:
    for happening in ("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$", "DISCARD ALL"):
        for _ in range(8):
            fill(desk.conn, 1)
            await desk.settle(ACKED)

        async with desk.storage._pool._connections.one() as conn:
            await conn.execute(happening.encode())
        fill(desk.conn, 1)
        assert len(await desk.settle(ACKED)) == 1
        await _migrated(desk)


async def _migrated(desk: Desk) -> None:
    desk.storage._pool._prepares = True
    for _ in range(8):
        fill(desk.conn, 1)
        await desk.settle(ACKED)
    for change in (
        "ALTER TABLE event_outbox ALTER COLUMN attempts TYPE bigint",
        "ALTER TABLE event_outbox ALTER COLUMN attempts TYPE int",
    ):
        desk.conn.execute(change.encode())
        fill(desk.conn, 1)
        assert len(await desk.settle(ACKED)) == 1


async def test_an_error_in_the_middle_undoes_all_of_it_and_costs_no_connection(desk: Desk) -> None:
    fill(desk.conn, 2)
    token, events = await desk.take()
    outcomes: dict[ClaimedEvent, Outcome] = {events[0]: ACKED, events[1]: Failed("no", counted=True)}
    desk.conn.execute("ALTER TABLE event_outbox ADD CONSTRAINT never CHECK (status <> 'failed')")
    for _ in range(2):
        with pytest.raises(OutboxError, match="never"):
            await desk.storage.settle(token, outcomes)
    assert {desk.row(event.id)["status"] for event in events} == {"in_progress"}
    desk.conn.execute("ALTER TABLE event_outbox DROP CONSTRAINT never")
    assert await desk.storage.settle(token, outcomes) == 0
    assert len(backends(desk.conn)) == 1


async def test_t49_cancellations_leak_no_connection(desk: Desk) -> None:
    fill(desk.conn, 50)
    dice = Random(49)  # noqa: S311  # moments, not secrets
    cancelled = 0
    for _ in range(100):
        with anyio.move_on_after(dice.choice([0, 0.001, 0.003, 0.01])) as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(desk.claim)
        cancelled += scope.cancelled_caught
    assert cancelled > 10
    async with anyio.create_task_group() as tasks:
        for _ in range(connections.CONNECTIONS):
            tasks.start_soon(desk.claim)
    wait_for(lambda: len(backends(desk.conn)) <= connections.CONNECTIONS, 10, "backends to end")
    # What was claimed for nobody is under a lease, and comes back with it.
    desk.expire_leases()
    await desk.storage.reclaim(1000)
    assert len(await desk.taken()) == 50


async def test_who_finds_all_connections_in_use_waits_but_not_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TURN_TIMEOUT", 0.3)
    held = desk.storage._pool._connections
    async with held.one(), held.one(), held.one(), held.one():
        with pytest.raises(DatabaseUnreachable, match="all 4 connections were busy"):
            await desk.claim()
        assert len(backends(desk.conn)) == connections.CONNECTIONS
    await desk.claim()


async def test_server_that_has_no_connection_left_says_so(database: str, conn: psycopg.Connection) -> None:
    conn.execute("CREATE ROLE crowded LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
    address = urlsplit(database)
    url = address._replace(netloc=f"crowded:secret@{address.hostname}:{address.port}").geturl()
    try:
        async with claiming(database) as desk:
            desk.storage._pool = pool.Pool(Settings(database_url=url))
            with pytest.raises(DatabaseUnreachable, match="too many connections for role"):
                await desk.claim()
            conn.execute("ALTER ROLE crowded PASSWORD 'other'")
            with pytest.raises(NotPermitted, match="password authentication failed"):
                await desk.claim()
    finally:
        conn.execute("DROP ROLE crowded")


async def test_silent_connections_are_given_up_all_at_once(
    proxied_database: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, conn: psycopg.Connection
) -> None:
    monkeypatch.setattr(pool, "_SHORTEST_SILENCE", 0.5)
    async with claiming(proxied_database, lease=1.0) as desk:
        await _use_all(desk)
        proxy.strand()
        began = time.monotonic()
        with pytest.raises(DatabaseUnreachable, match=r"no answer within 0\.5 s"):
            await desk.claim()
        noticed = time.monotonic() - began
        for _ in range(connections.CONNECTIONS):
            await desk.claim()
        recovered = time.monotonic() - began
    assert 0.5 <= noticed < 2
    # One after the other they would take half a second each.
    assert recovered - noticed < 1.2


async def test_slow_connection_is_not_taken_for_a_silent_one(
    proxied_database: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_SHORTEST_SILENCE", 0.5)
    async with claiming(proxied_database, lease=1.0) as desk:
        desk.conn.execute("ALTER TABLE event_outbox ALTER COLUMN payload SET STORAGE EXTERNAL")
        fill(desk.conn, 10, size=100_000)
        claim = await desk.claim()
        assert claim.token is not None
        proxy.slow(rate=500_000)
        began = time.monotonic()
        assert len(await desk.storage.read(claim.token)) == 10
        assert time.monotonic() - began > 1.5


async def _use_all(desk: Desk) -> None:
    held = desk.storage._pool._connections
    async with held.one(), held.one(), held.one(), held.one():
        pass
