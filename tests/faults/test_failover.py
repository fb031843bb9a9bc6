"""PostgreSQL fails over to its standby while services write and relays publish."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import psycopg
import pytest

from tests.support.checker import Verdict, check
from tests.support.command import QUICK
from tests.support.events import put
from tests.support.figures import reclaims
from tests.support.outbox import fill, outbox_table
from tests.support.postgres_pair import PostgresPair
from tests.support.processes import wait_for
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter

Account: TypeAlias = "Callable[..., None]"

_RECOVERED = 200
_WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name NOT LIKE 'outbox%'"


@pytest.fixture
def synchronous() -> Iterator[PostgresPair]:
    with PostgresPair(synchronous=True) as pair:
        yield pair


@pytest.fixture
def asynchronous() -> Iterator[PostgresPair]:
    with PostgresPair(synchronous=False) as pair:
        yield pair


@pytest.fixture
def relay(relay_process: Starter, nats_server: EmbeddedNats) -> Starter:
    """Start a relay that knows both servers of a pair."""

    def start(pair: PostgresPair, name: str) -> CommandProcess:
        process = relay_process(OUTBOX_DATABASE_URL=pair.url, OUTBOX_RELAY_ID=name, **QUICK)
        process.wait_for_record("wake.ready")
        return process

    return start


@pytest.mark.parametrize(
    "fate",
    [
        "kill",
        pytest.param("stop", marks=pytest.mark.slow),
        # It lives on, keeps its connections and refuses writes.
        pytest.param("demote", marks=pytest.mark.slow),
    ],
)
def test_t47_a_failover_with_synchronous_replication_loses_and_invents_nothing(
    synchronous: PostgresPair, nats_server: EmbeddedNats, relay: Starter, account: Account, fate: str
) -> None:
    relays = [relay(synchronous, name) for name in ("a", "b")]
    with Writers(synchronous.url, pause=0.01) as writers:
        wait_for_stored(nats_server.url, 500)
        recovered = _fail_over(synchronous, nats_server, lambda: synchronous.lose_primary(fate))
    verdict = _verdict(synchronous, nats_server, writers)
    account(verdict, recover_s=round(recovered, 2), reclaims=reclaims(*relays))
    assert verdict.problems == {}
    assert all(one.records("server.changed") for one in relays)
    assert recovered < 20


@pytest.mark.slow
def test_t47_no_event_is_published_before_a_synchronous_standby_has_it(
    synchronous: PostgresPair, nats_server: EmbeddedNats, relay: Starter
) -> None:
    relay(synchronous, "a")
    synchronous.fall_behind()
    with _commit_that_waits(synchronous) as writing:
        time.sleep(2)  # in which a relay would see it, if anybody could
        assert stored(nats_server.url) == 0
        synchronous.catch_up()
        writing.result()
    wait_for_stored(nats_server.url, 1)


@pytest.mark.slow
def test_t47_a_commit_whose_wait_for_the_standby_is_ended_by_hand_is_published(
    synchronous: PostgresPair, nats_server: EmbeddedNats, relay: Starter
) -> None:
    # A limit of the promise: the row is on the primary alone, and everybody sees it.
    relay(synchronous, "a")
    synchronous.fall_behind()
    with _commit_that_waits(synchronous) as writing:
        with psycopg.connect(synchronous.primary.url, autocommit=True) as conn:
            conn.execute(f"SELECT pg_cancel_backend(pid) {_WAITING}")
        writing.result()
    wait_for_stored(nats_server.url, 1)
    synchronous.lose_primary("kill")
    synchronous.standby.promote()
    with outbox_table(synchronous.standby.url) as table:
        assert table.rows() == []


@pytest.mark.slow
def test_t47_what_an_asynchronous_standby_has_not_got_is_lost_with_its_business_rows(
    asynchronous: PostgresPair, nats_server: EmbeddedNats, relay: Starter, account: Account
) -> None:
    relays = [relay(asynchronous, name) for name in ("a", "b")]
    with Writers(asynchronous.url, pause=0.01) as writers:
        wait_for_stored(nats_server.url, 500)
        asynchronous.fall_behind()
        # What is written from here on is published, and will be gone.
        wait_for_stored(nats_server.url, stored(nats_server.url) + 500)
        recovered = _fail_over(asynchronous, nats_server, lambda: asynchronous.lose_primary("kill"))
    with outbox_table(asynchronous.standby.url) as table:
        table.wait_until_settled()
        kept = {row.event_id for row in table.rows()}
        documents = table.conn.execute("SELECT event_id::text FROM document").fetchall()
    undone = writers.ledger.committed - kept
    assert len(undone) > 200, "the standby had got everything"
    assert {event_id for (event_id,) in documents} == kept
    writers.ledger.committed -= undone
    verdict = _verdict(asynchronous, nats_server, writers)
    account(verdict, recover_s=round(recovered, 2), reclaims=reclaims(*relays))
    # Events whose rows are gone were published before: nobody could know. Nothing else is wrong.
    assert set(verdict.phantom) <= undone | writers.ledger.unknown
    assert len(verdict.phantom) > 200
    assert set(verdict.problems) == {"phantom"}


@pytest.mark.slow
def test_t47_order_holds_on_a_standby_that_draws_ids_again(
    asynchronous: PostgresPair, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    # No sweep within this test: it would find what has an id below those that were passed.
    relay = relay_process(OUTBOX_DATABASE_URL=asynchronous.url, OUTBOX_SWEEP_INTERVAL="1h")
    relay.wait_for_record("wake.ready")
    asynchronous.fall_behind()
    with outbox_table(asynchronous.primary.url) as table:
        fill(table.conn, 2000)
        table.wait_until_settled()
    asynchronous.lose_primary("kill")
    asynchronous.standby.promote()
    wait_for(lambda: len(relay.records("wake.ready")) == 2, 20, "LISTEN on the new primary")
    with outbox_table(asynchronous.standby.url) as table:
        for _ in range(500):
            # Transactions of others: those of the new primary overtake what the old one had counted.
            table.conn.execute("SELECT pg_current_xact_id()")
        put(table.conn)
        table.wait_until_settled()
        with table.conn.transaction():
            first = put(table.conn, aggregate_type="article", aggregate_id="1", event_type="first")
            table.conn.execute("SELECT setval(pg_get_serial_sequence('event_outbox', 'id'), 10000)")
            put(table.conn, aggregate_type="article", aggregate_id="1", event_type="second")
        table.wait_until_settled()
    assert first < 2000
    assert [message.subject for message in read_stream(nats_server.url)[-2:]] == [
        "events.acme.first",
        "events.acme.second",
    ]


@pytest.mark.slow
def test_t47_a_primary_that_hangs_is_left(
    asynchronous: PostgresPair, nats_server: EmbeddedNats, relay: Starter, account: Account
) -> None:
    relays = [relay(asynchronous, name) for name in ("a", "b")]
    with Writers(asynchronous.url, pause=0.01) as writers:
        wait_for_stored(nats_server.url, 500)
        asynchronous.primary.freeze()
        try:
            asynchronous.standby.promote()
            began = time.monotonic()
            with Writers(asynchronous.standby.url, pause=0.01, seed=2, ledger=writers.ledger):
                wait_for(lambda: all(map(_has_moved, relays)), 60, "the relays to go to the new primary")
                wait_for_stored(nats_server.url, stored(nats_server.url) + _RECOVERED)
            recovered = time.monotonic() - began
        finally:
            # Writers wait for its answer for ever; that is none of the relay's business.
            asynchronous.primary.kill()
    verdict = _verdict(asynchronous, nats_server, writers)
    account(verdict, recover_s=round(recovered, 2), reclaims=reclaims(*relays))
    assert verdict.problems == {}
    assert recovered < 60


def _fail_over(pair: PostgresPair, nats: EmbeddedNats, lose: Callable[[], None]) -> float:
    """Lose the primary and promote the standby; return after how many seconds more events came through."""
    lose()
    pair.standby.promote()
    began, before = time.monotonic(), stored(nats.url)
    wait_for_stored(nats.url, before + _RECOVERED, timeout=60)
    return time.monotonic() - began


def _verdict(pair: PostgresPair, nats: EmbeddedNats, writers: Writers) -> Verdict:
    with outbox_table(pair.standby.url) as table:
        table.wait_until_settled()
        return check(writers.ledger, table.rows(), read_stream(nats.url))


@contextmanager
def _commit_that_waits(pair: PostgresPair) -> Iterator[Future[None]]:
    """Write an event whose commit waits for the standby; it has ended by the end of the context."""
    with ThreadPoolExecutor() as threads:
        writing = threads.submit(_write_one, pair.url)
        wait_for(lambda: _waits_for_standby(pair), 10, "the commit to wait for the standby")
        yield writing


def _write_one(url: str) -> None:
    with psycopg.connect(url) as conn:
        put(conn)


def _waits_for_standby(pair: PostgresPair) -> bool:
    with psycopg.connect(pair.primary.url, autocommit=True) as conn:
        return conn.execute(f"SELECT {_WAITING}").fetchone() is not None


def _has_moved(relay: CommandProcess) -> bool:
    return bool(relay.records("server.changed"))
