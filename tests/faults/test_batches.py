"""Faults in the middle of a batch of many events under one ack: order holds, and nothing is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.checker import check
from tests.support.faulty import Fault
from tests.support.outbox import outbox_table
from tests.support.processes import wait_for
from tests.support.stream import create_stream, read_stream, stored, update_stream
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

pytestmark = pytest.mark.fault

QUICK = {
    "OUTBOX_LEASE": "1500ms",
    "OUTBOX_SWEEP_INTERVAL": "300ms",
    "OUTBOX_PUBLISH_TIMEOUT": "700ms",
    "OUTBOX_RETRY_BASE": "100ms",
    "OUTBOX_RETRY_MAX": "300ms",
}
EVENTS = 1200
WINDOW = 600 * 10**9
# All but one kind of the events that writers write; that kind belongs to aggregates, as most others do.
BUT_ONE = ["events.acme.stock.moved", "events.acme.stock.counted"]


def backlog(database: str) -> Writers:
    """Write a backlog, many events to an aggregate."""
    with Writers(database, aggregates=20, events=EVENTS) as writers:
        writers.wait()
    return writers


# What the stream is like at first, and what makes it take all.
REFUSING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no stream": ({"subjects": BUT_ONE}, {"subjects": ["events.>"]}),
    "full": ({"max_msgs": EVENTS // 3, "discard": "new"}, {"max_msgs": -1}),
}


@pytest.mark.parametrize(
    ("config", "remedy"),
    [REFUSING["no stream"], pytest.param(*REFUSING["full"], marks=pytest.mark.slow)],
    ids=["no stream", "full"],
)
def test_order_holds_when_an_event_is_refused_in_the_middle_of_a_batch(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    config: dict[str, Any],
    remedy: dict[str, Any],
) -> None:
    url = nats_server.url
    subjects = config.get("subjects", ["events.>"])
    rest = {name: value for name, value in config.items() if name != "subjects"}
    create_stream(url, *subjects, allow_batched=True, duplicate_window=WINDOW, **rest)
    writers = backlog(database)
    relay = relay_process(**QUICK)
    relay.wait_for_record("route.resting")
    with outbox_table(database) as table:
        wait_for(lambda: table.count()["published"] >= EVENTS // 10, 20, "what is not refused")
        update_stream(url, **remedy)
        table.wait_until_settled(30)
        verdict = check(writers.ledger, table.rows(), read_stream(url))
    account(verdict)
    assert verdict.problems == {}


@pytest.mark.parametrize(
    "deed",
    ["kill", pytest.param("freeze", marks=pytest.mark.slow), pytest.param("raise", marks=pytest.mark.slow)],
)
def test_order_holds_when_a_relay_is_stopped_in_the_middle_of_a_batch(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    faulty_relay: Starter,
    account: Callable[..., None],
    deed: str,
) -> None:
    url = nats_server.url
    writers = backlog(database)
    # When it is about to write the second piece of its first batch.
    faulty = faulty_relay(Fault("before_write", deed, nth=2), **QUICK)
    faulty.wait_for_record("fault")
    if deed != "raise":
        wait_for(lambda: 0 < stored(url) < EVENTS // 2, 10, "the first piece in the stream")
    with outbox_table(database) as table:
        other = relay_process(**QUICK)
        if deed == "freeze":
            wait_for(lambda: bool(other.records("lease.expired")), 20, "the other to take over")
            faulty.thaw()
        table.wait_until_settled(30)
        time.sleep(0.5 if deed == "freeze" else 0)  # what the frozen one still writes
        verdict = check(writers.ledger, table.rows(), read_stream(url))
    account(verdict)
    assert verdict.problems == {}
