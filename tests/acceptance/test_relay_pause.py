"""`outbox-notify pause` and `resume` beside relays that run."""

from __future__ import annotations

import json
import time
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

import pytest

from outbox_notify.operations.pause import Target, pause, resume
from tests.support.arrivals import numbers
from tests.support.checker import check, out_of_order
from tests.support.command import run
from tests.support.events import put
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

# Whatever the relay finds within a test, it finds by being told.
LATE = {"OUTBOX_SWEEP_INTERVAL": "1h"}


@pytest.fixture
def on(database: str) -> Callable[..., CompletedProcess[str]]:
    return lambda *arguments: run(*arguments, OUTBOX_DATABASE_URL=database)


@pytest.mark.parametrize("relays", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_paused_tenant_waits_until_it_is_resumed_and_keeps_its_order(
    on: Callable[..., CompletedProcess[str]],
    conn: psycopg.Connection,
    database: str,
    relay_process: Starter,
    nats_server: EmbeddedNats,
    relays: int,
) -> None:
    for _ in range(relays):
        relay_process(**LATE).wait_for_record("wake.ready")
    assert on("pause", "--tenant", "globex", "--reason", "moving").returncode == 0
    # More aggregates than a relay remembers by their keys.
    fill(conn, 1500, tenant="globex", aggregates=400)
    fill(conn, 200)
    wait_for_stored(nats_server.url, 200)
    fill(conn, 100)
    wait_for_stored(nats_server.url, 300)
    assert {message.subject for message in read_stream(nats_server.url)} == {"events.acme.stock.moved"}
    assert on("resume", "--tenant", "globex").stdout == "resumed tenant globex\n"
    with outbox_table(database) as table:
        table.wait_until_settled()
        assert stored(nats_server.url) == 1800
        assert out_of_order(table.rows(), read_stream(nats_server.url)) == []


def test_paused_type_holds_back_what_comes_after_it_in_its_aggregates_only(
    on: Callable[..., CompletedProcess[str]],
    conn: psycopg.Connection,
    relay_process: Starter,
    nats_server: EmbeddedNats,
) -> None:
    relay_process(**LATE).wait_for_record("wake.ready")
    assert on("pause", "--type", "stock.counted").returncode == 0

    def insert(n: int, event_type: str, aggregate: int) -> None:
        columns = {"aggregate_type": "bin", "aggregate_id": str(aggregate), "payload": json.dumps({"n": n})}
        put(conn, event_type=event_type, **columns)

    # Many: the tenant must not rest as a whole because of a type.
    for aggregate in range(300):
        insert(aggregate, "stock.counted", aggregate)
    insert(1000, "stock.moved", 7)
    insert(1001, "stock.moved", 1000)
    wait_for_stored(nats_server.url, 1)
    insert(1002, "stock.moved", 8)
    insert(1003, "stock.moved", 1000)
    wait_for_stored(nats_server.url, 2)
    assert numbers(read_stream(nats_server.url)) == [1001, 1003]
    assert on("resume", "--all").returncode == 0
    wait_for_stored(nats_server.url, 304)
    order = numbers(read_stream(nats_server.url))
    assert order.index(7) < order.index(1000)
    assert order.index(8) < order.index(1002)


@pytest.mark.slow
def test_pause_ends_by_itself_at_its_time(
    on: Callable[..., CompletedProcess[str]],
    conn: psycopg.Connection,
    relay_process: Starter,
    nats_server: EmbeddedNats,
) -> None:
    relay_process(**LATE).wait_for_record("wake.ready")
    paused = json.loads(on("pause", "--tenant", "acme", "--for", "2s", "--json").stdout)
    put(conn)
    wait_for_stored(nats_server.url, 1)
    [message] = read_stream(nats_server.url)
    late = (message.stored_at - datetime.fromisoformat(paused["until"])).total_seconds()
    # Not before, and not with the sweep of an hour.
    assert 0 <= late < 20


def test_paused_events_do_not_keep_a_drain_from_ending(
    on: Callable[..., CompletedProcess[str]],
    conn: psycopg.Connection,
    relay_process: Starter,
    nats_server: EmbeddedNats,
) -> None:
    put(conn), put(conn, tenant_id="globex")
    assert on("pause", "--tenant", "globex").returncode == 0
    assert relay_process("--drain").wait() == 0
    assert stored(nats_server.url) == 1


@pytest.mark.slow
def test_pauses_that_come_and_go_change_no_order(
    conn: psycopg.Connection,
    database: str,
    relay_process: Starter,
    nats_server: EmbeddedNats,
) -> None:
    for _ in range(2):
        relay_process(**LATE).wait_for_record("wake.ready")
    targets = [
        Target("acme"),
        Target(event_type="stock.labelled"),
        Target("acme", "stock.moved"),
        Target(event_type="stock.moved"),
        Target("nobody"),
    ]
    random = Random(7)  # noqa: S311  # choices, not secrets
    with Writers(database, pause=0.003, writers=4, aggregates=1000, events=4000) as writers:
        while len(writers.ledger.committed) < 3900:
            lasting = random.choice([None, 0.05, 0.3])
            pause(conn, "public", random.choice(targets), lasting=lasting)
            time.sleep(random.uniform(0, 0.05))
            if random.random() < 0.5:
                resume(conn, "public", None)
        writers.wait()
    resume(conn, "public", None)
    with outbox_table(database) as table:
        table.wait_until_settled()
        assert check(writers.ledger, table.rows(), read_stream(nats_server.url)).problems == {}


def test_pauses_are_shown_and_mistakes_explained(on: Callable[..., CompletedProcess[str]]) -> None:
    assert on("pause").stderr == "nothing is paused\n"
    assert json.loads(on("pause", "--json").stdout) == []
    done = on("pause", "--tenant", "acme", "--type", "stock.moved", "--reason", "a\nb")
    assert done.stdout == (
        "paused type stock.moved of tenant acme until somebody resumes it;"
        " sooner: outbox-notify resume --tenant acme --type stock.moved\n"
    )
    [listed] = json.loads(on("pause", "--json").stdout)
    assert (listed["tenant_id"], listed["event_type"], listed["until"], listed["reason"]) == (
        "acme", "stock.moved", None, "a\nb",
    )  # fmt: skip
    assert "a\\nb" in on("pause").stdout
    refused = on("resume", "--tenant", "acme")
    assert (refused.returncode, refused.stderr) == (
        1,
        "outbox-notify: tenant acme is not paused; paused is type stock.moved of tenant acme\n",
    )
    past = on("pause", "--tenant", "acme", "--until", "2001-01-01T00:00:00Z")
    assert (past.returncode, "is past" in past.stderr) == (1, True)


def test_relay_of_a_schema_without_pauses_says_what_to_do(
    conn: psycopg.Connection, relay_process: Starter
) -> None:
    conn.execute("DROP TABLE event_outbox_audit, event_outbox_pause, event_outbox_replay")
    relay = relay_process()
    assert relay.wait() == 78
    wait_for(lambda: "run `outbox-notify migrate`" in relay.text, 5, "the advice")
