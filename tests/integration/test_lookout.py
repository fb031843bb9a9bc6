"""Looks at a real table beside the relay: what they find, what they cost, and how they bear a server that hangs."""

from __future__ import annotations

import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.errors import DatabaseUnreachable, OutboxError, SchemaError
from outbox_notify.observability.look import Look
from outbox_notify.operations import lookout as module
from outbox_notify.operations.lookout import Lookout
from tests.support.events import put, put_failed
from tests.support.fakes import Notes, until
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from outbox_notify.embedded import EmbeddedPostgres

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def looking(database: str) -> AsyncIterator[tuple[Lookout, Notes]]:
    notes = Notes()
    lookout = Lookout(Settings(database_url=database), notes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookout.run)
        yield lookout, notes
        tasks.cancel_scope.cancel()


async def first_look(database: str) -> Look:
    async with looking(database) as (_, notes):
        await until(lambda: bool(notes.of("database.looked")), 10)
        look = notes.of("database.looked")[0]["look"]
        assert isinstance(look, Look)
        return look


async def test_look_counts_each_state_and_tells_the_oldest(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        put(conn)
        conn.execute(
            "UPDATE event_outbox SET created_at = now() - interval '1 minute', available_at = created_at"
        )
        conn.execute("UPDATE event_outbox SET available_at = created_at")
        put(conn, available_at="2100-01-01")
        put(conn, available_at="2100-01-01")
        put_failed(conn)
        conn.execute("INSERT INTO event_outbox_pause (tenant_id) VALUES ('acme'), ('globex')")
        conn.execute(
            "UPDATE event_outbox_pause SET until = now() - interval '1 s' WHERE tenant_id = 'globex'"
        )
    look = await first_look(database)
    assert (look.pending, look.scheduled, look.in_progress, look.failed, look.paused) == (1, 2, 0, 1, 1)
    assert 60 <= look.oldest_pending_age < 100
    assert look.oldest_pending == pytest.approx(time.time() - look.oldest_pending_age, abs=10)
    assert look.table_bytes > 8192
    assert abs(look.clock_ahead) < 1


async def test_nothing_due_has_no_age(database: str) -> None:
    look = await first_look(database)
    assert (look.pending, look.oldest_pending, look.oldest_pending_age) == (0, None, 0.0)


async def test_connection_that_was_ended_meanwhile_is_replaced_without_an_alarm(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.2)
    async with looking(database) as (_, notes):
        await until(lambda: bool(notes.of("database.looked")), 10)
        with psycopg.connect(database, autocommit=True) as conn:
            ended = conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        looks = len(notes.of("database.looked"))
        await until(lambda: len(notes.of("database.looked")) > looks, 10)
    assert ended == [(True,)]
    assert [note["error"] for note in notes.of("database.asked") if note["error"]] == []


async def test_counting_stops_where_it_would_cost_too_much(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO event_outbox (tenant_id, event_type, payload)"
            " SELECT 'acme', 'a', '{}' FROM generate_series(1, 50)"
        )
    look = await first_look(database)
    assert (look.pending, look.counted_to) == (10, 10)


async def test_look_that_takes_too_long_counts_less_the_next_time(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    monkeypatch.setattr(module, "_INTERVAL", 0.1)
    monkeypatch.setattr(module, "_REST", 0)
    monkeypatch.setattr(module, "_REST_IN_VAIN", 0)
    with psycopg.connect(database) as held:
        held.execute("LOCK TABLE event_outbox IN ACCESS EXCLUSIVE MODE")
        async with looking(database) as (_, notes):
            await until(lambda: len(notes.of("database.asked")) >= 1, 10)
            assert isinstance(notes.of("database.asked")[0]["error"], OutboxError)
            held.rollback()
            await until(lambda: bool(notes.of("database.looked")), 10)
            look = notes.of("database.looked")[0]["look"]
            assert isinstance(look, Look)
            assert look.counted_to < module._MOST
            # Once it is quick again, it counts more with each.
            await until(lambda: _counted_to(notes) == module._MOST, 20)


async def test_server_that_hangs_is_told_soon_and_looked_at_again_when_it_goes_on(
    private_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    monkeypatch.setattr(module, "_INTERVAL", 0.1)
    monkeypatch.setattr(module, "_INTERVAL_OF_OUTAGE", 0.1)
    monkeypatch.setattr(module, "_REST", 0)
    async with looking(private_postgres.url) as (lookout, notes):
        await until(lambda: bool(notes.of("database.looked")), 10)
        private_postgres.freeze()
        try:
            await until(lambda: isinstance(notes.taken[-1][1].get("error"), DatabaseUnreachable), 10)
            with pytest.raises(DatabaseUnreachable, match="no answer within"):
                await lookout.status()
            # However often it is asked, no more than one thread waits.
            assert sum(thread.name == "lookout" for thread in threading.enumerate()) <= 1
        finally:
            private_postgres.thaw()
        seen = len(notes.of("database.looked"))
        await until(lambda: len(notes.of("database.looked")) > seen, 15)


def _counted_to(notes: Notes) -> int:
    look = notes.of("database.looked")[-1]["look"]
    assert isinstance(look, Look)
    return look.counted_to


async def test_connection_that_is_dead_for_good_is_given_up(
    database: str, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    monkeypatch.setattr(module, "_INTERVAL", 0.1)
    monkeypatch.setattr(module, "_INTERVAL_OF_OUTAGE", 0.1)
    monkeypatch.setattr(module, "_REST", 0)
    with Proxy(postgres_server.port) as proxy:
        url = database.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        async with looking(url) as (_, notes):
            await until(lambda: bool(notes.of("database.looked")), 10)
            proxy.strand()
            await until(lambda: isinstance(notes.taken[-1][1].get("error"), DatabaseUnreachable), 10)
            seen = len(notes.of("database.looked"))
            await until(lambda: len(notes.of("database.looked")) > seen, 15)


async def test_missing_outbox_is_told(empty_database: str) -> None:
    async with looking(empty_database) as (_, notes):
        await until(lambda: bool(notes.of("database.asked")), 10)
        assert isinstance(notes.of("database.asked")[0]["error"], SchemaError)


async def test_status_is_read_at_most_once_a_second_however_often_it_is_asked_for(database: str) -> None:
    lookout = Lookout(Settings(database_url=database), Notes())
    first = await lookout.status()
    assert first["backlog"] == {"pending": 0, "scheduled": 0, "in_progress": 0, "failed": 0}
    with psycopg.connect(database, autocommit=True) as conn:
        put(conn)
    lookout._status_until += 60  # a busy machine may take its second for this
    assert await lookout.status() is first
    lookout._status_until = 0.0
    assert (await lookout.status())["backlog"]["pending"] == 1
    lookout.close()
