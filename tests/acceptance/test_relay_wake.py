"""How fast an idle relay is, and what is left when it cannot be woken."""

from __future__ import annotations

import time
from random import Random
from statistics import quantiles
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.outbox import fill
from tests.support.processes import wait_for
from tests.support.stream import spying

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter
    from tests.support.stream import Spy

_INSERT = """
    INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
    VALUES ('acme', 'stock.moved', 'article', %s, '1') RETURNING event_id::text
"""
_RANDOM = Random(7)  # noqa: S311  # pauses, not secrets


def latencies(conn: psycopg.Connection, spy: Spy, events: int) -> list[float]:
    """Insert events one by one into an idle outbox; return the seconds from each commit to its subscriber."""
    seconds = []
    for number in range(events):
        began = time.monotonic()
        (event_id,) = conn.execute(_INSERT, [f"article-{number}"]).fetchall()[0]
        wait_for(lambda: bool(spy.times(event_id)), 20, "the event on the wire")  # noqa: B023  # used at once
        seconds.append(spy.times(event_id)[0] - began)
        time.sleep(_RANDOM.uniform(0.005, 0.06))
    return seconds


def figures(name: str, seconds: list[float]) -> tuple[float, float]:
    """Print and return the median and the 99th percentile, seconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    print(f"{name}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms, of {len(seconds)}")  # noqa: T201
    return cuts[49], cuts[98]


@pytest.mark.parametrize(
    ("postgres_version", "wake"),
    [
        pytest.param(16, "armed", marks=pytest.mark.slow),
        (18, "armed"),
        pytest.param(18, "always", marks=pytest.mark.slow),
    ],
)
def test_an_idle_relay_delivers_in_milliseconds(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, wake: str
) -> None:
    # No sweep within this test: only a wake explains that anything arrives.
    relay_process(OUTBOX_WAKE=wake, OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("wake.ready")
    with spying(nats_server.url) as spy, psycopg.connect(database, autocommit=True) as conn:
        latencies(conn, spy, 5)
        median, worst = figures(f"idle latency, {wake}", latencies(conn, spy, 40))
    # A few milliseconds on a quiet machine; the bounds leave room for a busy one.
    assert median < 0.1
    assert worst < 1


def test_two_idle_relays_deliver_as_fast_and_once(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    for _ in range(2):
        relay_process(OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("wake.ready")
    with spying(nats_server.url) as spy, psycopg.connect(database, autocommit=True) as conn:
        latencies(conn, spy, 5)
        median, worst = figures("idle latency, two relays", latencies(conn, spy, 40))
    assert median < 0.1
    assert worst < 1
    assert len(spy.heard) == 45


def test_t01_without_the_trigger_events_arrive_within_a_sweep(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_SWEEP_INTERVAL="1s").wait_for_record("wake.ready")
    with spying(nats_server.url) as spy, psycopg.connect(database, autocommit=True) as conn:
        conn.execute("DROP TRIGGER event_outbox_wake_relay ON event_outbox")
        seconds = latencies(conn, spy, 3)
        began = time.monotonic()
        fill(conn, 1000)
        wait_for(lambda: len(spy.heard) >= 1003, 10, "a thousand events on the wire")
        seconds.append(time.monotonic() - began)
    print(f"no trigger, sweep of 1 s: {max(seconds):.2f} s at most")  # noqa: T201
    # The trigger is really gone: a woken relay would never have been this slow.
    assert 0.2 < max(seconds) < 4


def test_a_polling_relay_uses_no_trigger_and_looks_twice_a_second(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_WAKE="poll", OUTBOX_SWEEP_INTERVAL="1h").wait_for_record("nats.connected")
    with spying(nats_server.url) as spy, psycopg.connect(database, autocommit=True) as conn:
        seconds = latencies(conn, spy, 4)
        used = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name ~ '^outbox-notify relay .* (listen|lock)$'"
        ).fetchall()
    print(f"polling: {max(seconds):.2f} s at most")  # noqa: T201
    assert max(seconds) < 3
    assert used == [(0,)]


def test_t07_a_polling_relay_serves_writers_with_two_phase_commit(
    database: str, nats_server: EmbeddedNats, relay_process: Starter
) -> None:
    relay_process(OUTBOX_WAKE="poll").wait_for_record("nats.connected")
    with spying(nats_server.url) as spy, psycopg.connect(database) as conn:
        conn.tpc_begin("goods receipt 1")
        (event_id,) = conn.execute(_INSERT, ["article-1"]).fetchall()[0]
        conn.tpc_prepare()
        with psycopg.connect(database, autocommit=True) as other:
            (later,) = other.execute(_INSERT, ["article-2"]).fetchall()[0]
        wait_for(lambda: bool(spy.times(later)), 5, "the event of somebody else")
        assert not spy.times(event_id)
        conn.tpc_commit()
        wait_for(lambda: bool(spy.times(event_id)), 5, "the event that was prepared")
