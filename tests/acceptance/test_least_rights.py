"""The commands as users who hold one role of `deploy/roles.sql` and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify import Event, emit
from tests.support.command import run
from tests.support.events import put_failed
from tests.support.http import ask, http_address, metrics_of
from tests.support.processes import wait_for
from tests.support.roles import grant_roles, user_with_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

pytestmark = pytest.mark.parametrize(
    "postgres_version", [pytest.param(16, marks=pytest.mark.slow), 18], ids=["pg16", "pg18"]
)


@pytest.fixture
def users(database: str, postgres_version: int) -> Iterator[dict[str, str]]:
    """URLs of the test's database for a writer, a relay and an operator."""
    grant_roles(database, "public", postgres_version)
    with ExitStack() as stack:
        yield {
            role: stack.enter_context(user_with_role(database, f"outbox_{role}"))
            for role in ("writer", "relay", "operator")
        }


def test_writer_relay_and_operator_do_their_work_with_least_rights(
    database: str, users: dict[str, str], nats_server: EmbeddedNats
) -> None:
    with psycopg.connect(users["writer"]) as conn:
        emit(
            conn,
            *[Event("acme", "stock.moved", {"n": n}, aggregate_type="bin", aggregate_id="7") for n in (1, 2)],
        )
    with psycopg.connect(database) as conn:
        put_failed(conn)
        dropped = put_failed(conn)

    for arguments in (
        ["status", "--json"],
        ["failed", "list"],
        ["failed", "show", str(dropped)],
        ["why", "1", "--json"],
        ["failed", "discard", str(dropped), "--yes"],
        ["failed", "requeue", "--all", "--new-id"],
        ["pause", "--tenant", "globex", "--for", "1h"],
        ["pause", "--tenant", "globex"],
        ["resume", "--all"],
        ["migrate", "status"],
    ):
        done = run(*arguments, OUTBOX_DATABASE_URL=users["operator"])
        assert (done.returncode, done.stderr) == (0, "")

    drained = run(
        "relay",
        "--drain",
        OUTBOX_DATABASE_URL=users["relay"],
        OUTBOX_NATS_URL=nats_server.url,
        OUTBOX_HTTP="off",
    )
    assert drained.returncode == 0, drained.stderr
    with psycopg.connect(database) as conn:
        rows = conn.execute("SELECT status, count(*) FROM event_outbox GROUP BY status").fetchall()
    assert rows == [("published", 3)]

    for arguments in (["replay", "--all", "--yes"], ["prune", "--older-than", "0s", "--yes"]):
        done = run(*arguments, OUTBOX_DATABASE_URL=users["operator"], OUTBOX_NATS_URL=nats_server.url)
        assert (done.returncode, " 3 events" in done.stdout) == (0, True), done.stderr


def test_relay_is_watched_with_least_rights(users: dict[str, str], relay_process: Starter) -> None:
    address = http_address(relay_process(OUTBOX_DATABASE_URL=users["relay"], OUTBOX_HTTP="127.0.0.1:0"))
    wait_for(lambda: ask(address, "/readyz").status == 200, 20, "the relay to be ready")
    wait_for(lambda: "table_bytes" in metrics_of(address), 10, "a look at the table")
    assert ask(address, "/status").status == 200


def test_missing_right_is_one_line_and_exit_code_77(users: dict[str, str]) -> None:
    for arguments in (["status"], ["failed", "list"]):
        done = run(*arguments, OUTBOX_DATABASE_URL=users["writer"])
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (77, "", 1)
        assert "event_outbox" in done.stderr
    done = run("migrate", "verify", OUTBOX_DATABASE_URL=users["operator"])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (77, "", 1)
