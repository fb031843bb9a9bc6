"""Servers that stop, die, freeze or are not there yet: an outage costs time and nothing else."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.checker import check
from tests.support.command import QUICK
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for
from tests.support.proxy import Proxy
from tests.support.stream import read_stream, stored, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter
    from tests.support.outbox import OutboxTable


def verdict_of(writers: Writers, table: OutboxTable, nats: EmbeddedNats) -> dict[str, int]:
    """Wait until the backlog is gone and return what went wrong."""
    began = time.monotonic()
    table.wait_until_settled(60)
    problems = check(writers.ledger, table.rows(), read_stream(nats.url)).problems
    settled = time.monotonic() - began
    print(f"{len(writers.ledger.committed)} events, settled {settled:.1f} s later: {problems}")  # noqa: T201
    return problems


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        ("stop", 3),
        pytest.param("stop", 30, marks=pytest.mark.slow),
        pytest.param("kill", 6, marks=pytest.mark.slow),
    ],
)
def test_t21_a_nats_outage_burns_no_attempts(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, how: str, seconds: int
) -> None:
    # So few attempts that an outage which counted any would show.
    relay = relay_process(OUTBOX_MAX_ATTEMPTS="2", OUTBOX_RETRY_BASE="50ms", **QUICK)
    with outbox_table(database) as table:
        with Writers(database, pause=0.03) as writers:
            wait_for_stored(nats_server.url, 300)
            getattr(nats_server, how)()
            relay.wait_for_record("outage.started")
            time.sleep(seconds)  # the length of the outage
            assert table.count()["pending"] > 100
            nats_server.start()
            relay.wait_for_record("outage.ended", timeout=15)
            before = stored(nats_server.url)
            wait_for_stored(nats_server.url, before + 300)
        assert verdict_of(writers, table, nats_server) == {}


def test_t33_a_black_hole_before_nats_is_noticed_and_left(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, account: Callable[..., None]
) -> None:
    with Proxy(nats_server.port) as proxy:
        relay = relay_process(OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", **QUICK)
        with outbox_table(database) as table:
            with Writers(database, pause=0.03) as writers:
                wait_for_stored(nats_server.url, 300)
                proxy.deaf()
                began = time.monotonic()
                relay.wait_for_record("outage.started")
                detected = time.monotonic() - began
                wait_for(lambda: table.count()["in_progress"] == 0, 15, "everything in hand to be given back")
                proxy.restore()
                began = time.monotonic()
                relay.wait_for_record("outage.ended", timeout=15)
                recovered = time.monotonic() - began
            print(f"detected after {detected:.1f} s, recovered {recovered:.1f} s after the network")  # noqa: T201
            account(recover_s=round(recovered, 1))
            assert detected < 15
            assert recovered < 8
            assert verdict_of(writers, table, nats_server) == {}


@pytest.mark.slow
def test_an_idle_relay_notices_a_black_hole_before_nats(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    with Proxy(nats_server.port) as proxy:
        relay = relay_process(OUTBOX_NATS_URL=f"nats://127.0.0.1:{proxy.port}", **QUICK)
        relay.wait_for_record("nats.connected")
        proxy.strand()
        relay.wait_for_record("outage.started", timeout=20)
        with outbox_table(database) as table:
            fill(table.conn, 10)
            table.wait_until_settled(10)
    assert stored(nats_server.url) == 10


@pytest.mark.parametrize("how", [pytest.param("stop", marks=pytest.mark.slow), "kill"])
def test_t44_a_postgresql_that_goes_and_comes_costs_only_time(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Starter, how: str
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=private_postgres.url, **QUICK)
    with Writers(private_postgres.url, pause=0.01) as writers:
        for times in (1, 2, 3):
            wait_for_stored(nats_server.url, times * 500)
            getattr(private_postgres, how)()
            private_postgres.start()
            wait_for(
                partial(lambda times: len(relay.records("wake.ready")) > times, times), 10, "LISTEN again"
            )
        wait_for_stored(nats_server.url, 2000)
    with outbox_table(private_postgres.url) as table:
        assert verdict_of(writers, table, nats_server) == {}
    assert relay.running
    # Marks that were lost with the server are repeats, which the stream recognises.
    print(f"{len(writers.ledger.unknown)} commits were never answered")  # noqa: T201


@pytest.mark.slow
def test_t35_connections_that_are_cut_all_the_time_cost_nothing(
    database: str,
    postgres_server: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    relay_process: Starter,
) -> None:
    with Proxy(nats_server.port) as to_nats, Proxy(postgres_server.port) as to_postgres:
        relay = relay_process(
            OUTBOX_DATABASE_URL=database.replace(f":{postgres_server.port}/", f":{to_postgres.port}/"),
            OUTBOX_NATS_URL=f"nats://127.0.0.1:{to_nats.port}",
            **QUICK,
        )
        with outbox_table(database) as table:
            with Writers(database, pause=0.02) as writers:
                wait_for_stored(nats_server.url, 300)
                for round_ in range(12):
                    to_nats.cut(reset=round_ % 2 == 0)
                    time.sleep(0.25)  # so many cuts a second
                    to_postgres.cut(reset=round_ % 2 == 0)
                    time.sleep(0.25)
            assert verdict_of(writers, table, nats_server) == {}
            assert relay.running
            assert "Traceback" not in relay.text
            assert to_nats.accepted >= 6
            assert to_postgres.accepted >= 20


@pytest.mark.slow
def test_connections_to_postgresql_that_die_without_a_word_are_replaced(
    database: str,
    postgres_server: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    relay_process: Starter,
) -> None:
    with Proxy(postgres_server.port) as proxy:
        relay_process(
            OUTBOX_DATABASE_URL=database.replace(f":{postgres_server.port}/", f":{proxy.port}/"), **QUICK
        )
        with outbox_table(database) as table:
            with Writers(database, pause=0.03) as writers:
                wait_for_stored(nats_server.url, 300)
                proxy.strand()
                before = stored(nats_server.url)
                began = time.monotonic()
                wait_for_stored(nats_server.url, before + 300, timeout=60)
                print(f"published again after {time.monotonic() - began:.1f} s")  # noqa: T201
            assert verdict_of(writers, table, nats_server) == {}


def test_t32_a_relay_starts_before_its_servers_and_goes_on_by_itself(
    private_postgres: EmbeddedPostgres, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    database, nats = private_postgres.url, nats_server.url
    with outbox_table(database) as table:
        fill(table.conn, 50)
    private_postgres.stop()
    nats_server.stop()
    relay = relay_process(OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats)
    relay.wait_for_record("outage.started")
    nats_server.start()
    relay.wait_for_record("claim.postponed")
    assert relay.running
    private_postgres.start()
    began = time.monotonic()
    wait_for_stored(nats, 50, timeout=20)
    print(f"published {time.monotonic() - began:.1f} s after PostgreSQL came")  # noqa: T201
    assert relay.stop() == 0


def test_t34_a_frozen_nats_server_with_large_events_in_hand(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, account: Callable[..., None]
) -> None:
    relay = relay_process(**QUICK)
    relay.wait_for_record("nats.connected")
    nats_server.freeze()
    with outbox_table(database) as table:
        fill(table.conn, 20, size=900_000)
        began = time.monotonic()
        relay.wait_for_record("outage.started")
        # The deadline is 1.5 s; the rest is for claiming, and for a busy machine.
        assert time.monotonic() - began < 5.5
        wait_for(lambda: table.count()["pending"] == 20, 15, "everything to be given back")
        nats_server.thaw()
        began = time.monotonic()
        table.wait_until_settled(40)
        account(lost=0, duplicates=0, failed=0, recover_s=round(time.monotonic() - began, 1))
        assert not any(row.attempts for row in table.rows())
    assert sorted({message.json["n"] for message in read_stream(nats_server.url)}) == list(range(1, 21))
    assert stored(nats_server.url) == 20
