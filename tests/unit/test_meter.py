"""What reports become as numbers."""

from __future__ import annotations

from typing import Any

import pytest

from outbox_notify.errors import DatabaseUnreachable, OutboxError
from outbox_notify.observability import catalog
from outbox_notify.observability.errors import kind_of_error
from outbox_notify.observability.look import Look
from outbox_notify.observability.meter import Meter
from outbox_notify.observability.tally import Tally
from outbox_notify.relay.batches import LEASE_RAN_OUT
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry
from outbox_notify.relay.retry import judge
from tests.support.fakes import event

NOW = 1_767_323_045.5  # half a second after the events of the fakes
LOOK = Look(
    pending=5, scheduled=4, in_progress=3, failed=2, counted_to=100, oldest_pending=NOW - 7, oldest_pending_age=7.0,
    paused=1, table_bytes=8192, clock_ahead=0.25,
)  # fmt: skip


class Metered:
    """A meter at a known time, and what it has counted."""

    def __init__(self, *, listens: bool = True) -> None:
        self.tally = Tally()
        self.take = Meter(self.tally, listens=listens, clock=lambda: NOW)

    def settle(self, *outcomes: Outcome, overtaken: int = 0) -> None:
        self.take("batch.settled", outcomes=_numbered(outcomes), overtaken=overtaken)

    def of(self, metric: catalog.Metric) -> Any:
        """Return the numbers of a metric that are not zero."""
        found = {value: number for value, number in self.tally.values[metric].items() if number}
        return found if metric.labels else found.get("", 0)


def _numbered(outcomes: tuple[Outcome, ...]) -> dict[Any, Outcome]:
    return {event(number): outcome for number, outcome in enumerate(outcomes)}


@pytest.fixture
def metered() -> Metered:
    return Metered()


def test_each_outcome_is_counted_as_what_it_is(metered: Metered) -> None:
    duplicate = Published("OUTBOX", 2, duplicate=True)
    metered.settle(
        Published("OUTBOX", 1), duplicate, Retry("no"), Released("away"), Rested("a.b", "full"), Failed("x")
    )
    assert metered.of(catalog.PUBLISHED) == 2
    assert metered.of(catalog.DUPLICATES) == metered.of(catalog.RETRIED) == metered.of(catalog.FAILED) == 1
    assert metered.of(catalog.RELEASED) == 2
    assert metered.of(catalog.LAST_ACK) == NOW
    assert metered.of(catalog.PUBLISH_ERRORS) == {"refused": 1, "disconnected": 1, "route": 1, "event": 1}


def test_what_was_not_written_is_counted_as_lost_but_not_as_failed(metered: Metered) -> None:
    metered.settle(Failed("never"), Retry("no"), overtaken=2)
    assert metered.of(catalog.LEASES_LOST) == 2
    assert metered.of(catalog.FAILED) == metered.of(catalog.RETRIED) == metered.of(catalog.LAST_ACK) == 0


def test_age_of_every_published_event_is_taken_by_the_clock_of_the_database(metered: Metered) -> None:
    metered.take("database.looked", look=LOOK)
    outcomes = _numbered((Published("OUTBOX", 1), Published("OUTBOX", 2), Released("away")))
    metered.take("batch.answered", outcomes=outcomes, seconds=0.02)
    spread = metered.tally.spreads[catalog.DELIVERY_LATENCY][""]
    assert spread.total == pytest.approx(2 * 0.75, abs=0.001)
    assert sum(spread.counts) == 2
    assert metered.tally.spreads[catalog.PUBLISH_DURATION][""].total == 0.02


def test_look_fills_the_backlog(metered: Metered) -> None:
    metered.take("database.looked", look=LOOK)
    assert metered.of(catalog.BACKLOG) == {"pending": 5, "scheduled": 4, "in_progress": 3, "failed": 2}
    assert metered.of(catalog.OLDEST_PENDING) == NOW - 7
    assert (metered.of(catalog.OLDEST_AGE), metered.of(catalog.PAUSED)) == (7, 1)
    assert (metered.of(catalog.TABLE_BYTES), metered.of(catalog.COUNTED_TO)) == (8192, 100)
    assert metered.of(catalog.LOOKED_AT) == NOW


def test_time_of_the_oldest_is_not_shown_when_nothing_is_due(metered: Metered) -> None:
    metered.take("database.looked", look=LOOK)
    metered.take(
        "database.looked", look=Look(**{**vars(LOOK), "oldest_pending": None, "oldest_pending_age": 0.0})
    )
    assert metered.tally.values[catalog.OLDEST_PENDING] == {}
    assert metered.tally.values[catalog.OLDEST_AGE] == {"": 0.0}


def test_upkeep_is_counted(metered: Metered) -> None:
    metered.take("lease.expired", reclaimed=3, failed=1)
    metered.take("events.pruned", events=40)
    assert metered.of(catalog.LEASES_EXPIRED) == 4
    assert metered.of(catalog.FAILED) == 1
    assert metered.of(catalog.PRUNED) == 40


def test_wakes_are_counted_by_their_source(metered: Metered) -> None:
    for by in ("notify", "clock", "notify", "work"):
        metered.take("relay.woken", by=by)
    assert metered.of(catalog.WAKEUPS) == {"notify": 2, "clock": 1, "work": 1}


def test_component_is_up_from_its_first_answer_and_a_reconnect_counts_from_the_second(
    metered: Metered,
) -> None:
    assert metered.of(catalog.UP) == {}
    for _ in range(2):
        metered.take("outage.ended", component="nats", after="not connected yet")
        metered.take("wake.ready", channel="c")
        metered.take("database.asked", operation="claim", seconds=0.1, error=None)
        assert metered.of(catalog.UP) == {"nats": 1, "wake": 1, "postgres": 1}
        metered.take("outage.started", component="nats", reason="gone")
        metered.take("wake.lost", reason="gone")
        metered.take("database.asked", operation="claim", seconds=0.1, error=DatabaseUnreachable("gone"))
        assert metered.of(catalog.UP) == {}
    assert metered.of(catalog.RECONNECTS) == {"nats": 1, "wake": 1, "postgres": 1}


def test_refusal_does_not_mean_that_postgresql_is_away(metered: Metered) -> None:
    metered.take("database.asked", operation="claim", seconds=0.1, error=None)
    metered.take("database.asked", operation="settle", seconds=0.3, error=OutboxError("no"))
    assert metered.of(catalog.UP) == {"postgres": 1}
    assert metered.tally.spreads[catalog.DB_DURATION]["settle"].total == 0.3


def test_wake_that_is_not_used_is_not_down() -> None:
    assert Metered(listens=False).of(catalog.UP) == {"wake": 1}


def test_report_that_nobody_counts_is_passed_over(metered: Metered) -> None:
    metered.take("relay.ready", relay="r")
    assert not any(metered.of(metric) for metric in metered.tally.values)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Released("waits for event 7 of its aggregate"), None),
        (Released("the relay stopped"), None),
        (Released(LEASE_RAN_OUT), None),
        (Released("its turn to be sent did not come in time"), None),
        (Released("connection to NATS lost"), "disconnected"),
        (Released("no answer from JetStream in time"), "timeout"),
        (Rested("a.b", "no answer from JetStream in time"), "timeout"),
        (Rested("a.b", "publish is not permitted"), "not_permitted"),
        (judge(10008, "JetStream system temporarily unavailable", "a.b"), "unavailable"),
        (judge(10059, "stream not found", "a.b"), "no_stream"),
        (judge(0, "No responders", "a.b", 503), "no_stream"),
        (judge(10077, "maximum bytes exceeded", "a.b"), "storage"),
        (judge(10109, "invalid operation on sealed stream", "a.b"), "route"),
        (judge(10054, "message size exceeds maximum allowed", "a.b"), "event"),
        (judge(12345, "something new", "a.b"), "refused"),
        (Failed("tried ten times", counted=True, certain=False), "refused"),
        (Published("OUTBOX", 1), None),
    ],
)
def test_reason_of_an_error_is_one_of_a_closed_set(outcome: Outcome, reason: str | None) -> None:
    assert kind_of_error(outcome) == reason
    assert reason is None or reason in catalog.PUBLISH_ERRORS.values


def test_no_label_grows_without_end(metered: Metered) -> None:
    for number in range(10 * catalog.MOST_VALUES):
        metered.tally.set(catalog.ROUTE_RESTING, 1.0, f"route.{number}")
        metered.tally.add(catalog.PUBLISH_ERRORS, f"reason {number}")
    assert len(metered.tally.values[catalog.ROUTE_RESTING]) == catalog.MOST_VALUES + 1
    assert len(metered.tally.values[catalog.PUBLISH_ERRORS]) == catalog.MOST_VALUES + 1
