"""What docs/how-to/security.md gives to copy does what the text says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors, sql

from outbox_notify import Event, emit
from outbox_notify.embedded import EmbeddedNats
from tests.support.command import run
from tests.support.guides import examples
from tests.support.outbox import fill, outbox_table
from tests.support.postgres import ON_BOTH, Link
from tests.support.roles import grant_roles, user_with_role
from tests.support.stream import create_stream, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.outbox import OutboxTable

HEAD = re.compile(r"-- as (\w+)(?:, refused: (\w{5}))?\n")
# The test's own user, who reads what came and makes the stream.
TESTER = "    { user: tester, password: tester }\n"
# Longer than it takes until JetStream is not asked any more for what it may not be asked.
DRAIN: dict[str, Any] = {"OUTBOX_HTTP": "off", "OUTBOX_SHUTDOWN_TIMEOUT": "5s"}


[NATS_CONFIG] = examples("security", "nats")
PERMISSIONS = ["events.>", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.OUTBOX", "_INBOX.>"]


@pytest.fixture
def tenants(database: str, postgres_version: int) -> Iterator[Link]:
    """Connection of the owner; every example of the guide has been run, and did what it says."""
    grant_roles(database, "public", postgres_version)
    with psycopg.connect(database, autocommit=True) as conn:
        try:
            for example in examples("security", "sql"):
                _run(conn, example)
            yield conn
        finally:
            for role in ("acme_app", "globex_app", "shared_app"):
                conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def _run(conn: Link, example: str) -> None:
    """Run one example as whom it names; it must be refused when it says so."""
    head = HEAD.match(example)
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(head[1])) if head else "RESET ROLE")
    try:
        if head and head[2]:
            with pytest.raises(errors.lookup(head[2]), match="row-level security"):
                conn.execute(example.encode())
        else:
            conn.execute(example.encode())
    finally:
        conn.execute("RESET ROLE")


@ON_BOTH
def test_t41_writers_of_one_tenant_cannot_write_for_another_and_the_relay_sees_all(
    tenants: Link, database: str, nats_server: EmbeddedNats
) -> None:
    for role, tenant, good in (
        ("acme_app", "acme", True),
        ("acme_app", "globex", False),
        ("globex_app", "globex", True),
        ("globex_app", "acme", False),
    ):
        assert _may_emit(tenants, role, tenant) is good, (role, tenant)
    with user_with_role(database, "outbox_relay") as url:
        done = run("relay", "--drain", OUTBOX_DATABASE_URL=url, OUTBOX_NATS_URL=nats_server.url, **DRAIN)
    assert done.returncode == 0, done.stderr
    assert stored(nats_server.url) == 4
    assert run("migrate", "verify", OUTBOX_DATABASE_URL=database).returncode == 0


def _may_emit(conn: Link, role: str, tenant: str) -> bool:
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    try:
        emit(conn, Event(tenant, "goods.received", {}))
    except errors.InsufficientPrivilege:
        return False
    finally:
        conn.execute("RESET ROLE")
    return True


@pytest.fixture
def backlog(database: str) -> Iterator[OutboxTable]:
    with outbox_table(database) as table:
        fill(table.conn, 100)
        yield table


def drained(database: str, config: str, *, with_stream: bool = False) -> tuple[int, str]:
    """Drain into a server with a configuration; return exit code and log."""
    with EmbeddedNats(config.replace("  users: [\n", f"  users: [\n{TESTER}")) as server:
        if with_stream:
            create_stream(server.url.replace("//", "//tester:tester@"), "events.>")
        url = server.url.replace("//", "//relay:change%20me@")
        done = run("relay", "--drain", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=url, **DRAIN)
        return done.returncode, done.stderr


def test_t41_the_relay_needs_no_other_right_in_nats(backlog: OutboxTable, database: str) -> None:
    code, log = drained(database, NATS_CONFIG)
    assert code == 0, log
    assert "ermission" not in log
    assert backlog.count() == {"published": 100}


def test_t41_the_right_to_create_the_stream_is_for_those_who_have_none(
    backlog: OutboxTable, database: str
) -> None:
    code, log = drained(
        database, NATS_CONFIG.replace(', "$JS.API.STREAM.CREATE.OUTBOX"', ""), with_stream=True
    )
    assert (code, "ermission" in log) == (0, False), log
    assert backlog.count() == {"published": 100}


@pytest.mark.slow
@pytest.mark.parametrize("missing", PERMISSIONS)
def test_t41_each_right_in_nats_is_needed_and_its_want_costs_no_event(
    backlog: OutboxTable, database: str, missing: str
) -> None:
    assert f'"{missing}"' in NATS_CONFIG
    code, log = drained(database, NATS_CONFIG.replace(f'"{missing}"', '"not.this"'))
    assert code == 69, log
    assert "permi" in log.lower(), log
    assert {(row.status, row.attempts) for row in backlog.rows()} == {("pending", 0)}
