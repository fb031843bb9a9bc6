"""When a relay calls itself ready, and what it says when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.observability.health import Health
from outbox_notify.observability.look import Look
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released
from tests.support.fakes import event

PATIENCE = 45.0


class Watched:
    """Health whose clock is moved by hand."""

    def __init__(self, *, listens: bool = True) -> None:
        self.now = 1000.0
        self.resting: dict[str, str] = {}
        self.tell = Health(
            listens=listens, patience=PATIENCE, resting=lambda: self.resting, clock=lambda: self.now
        )

    def start(self) -> None:
        self.tell("outage.ended", component="nats", after="not connected yet")
        self.tell("wake.ready", channel="c")
        self.ask(None)

    def ask(self, error: OutboxError | None) -> None:
        self.tell("database.asked", operation="claim", seconds=0.1, error=error)

    def look(self, oldest_age: float) -> None:
        found = Look(1, 0, 0, 0, 100, None, oldest_age, 0, 0)
        self.tell("database.looked", look=found)

    def settle(self, outcome: Outcome, overtaken: int = 0) -> None:
        self.tell("batch.settled", outcomes={event(1): outcome}, overtaken=overtaken)

    @property
    def wrong(self) -> dict[str, str]:
        return dict(self.tell.troubles())


@pytest.fixture
def watched() -> Watched:
    watched = Watched()
    watched.start()
    return watched


def test_relay_is_not_ready_before_everything_has_answered() -> None:
    assert set(Watched().wrong) == {"postgres", "nats", "wake"}
    assert set(Watched(listens=False).wrong) == {"postgres", "nats"}


def test_relay_is_ready_when_everything_has(watched: Watched) -> None:
    assert watched.wrong == {}


@pytest.mark.parametrize(
    ("began", "facts", "ended", "component"),
    [
        ("outage.started", {"component": "nats", "reason": "gone"}, "outage.ended", "nats"),
        ("outage.continues", {"component": "nats", "reason": "gone"}, "outage.ended", "nats"),
        ("wake.lost", {"reason": "gone"}, "wake.ready", "wake"),
    ],
)
def test_outage_is_told_with_its_reason_until_it_ends(
    watched: Watched, began: str, facts: dict[str, Any], ended: str, component: str
) -> None:
    watched.tell(began, **facts)
    assert watched.wrong == {component: "gone"}
    watched.tell(ended, **{**facts, "after": "gone", "channel": "c"})
    assert watched.wrong == {}


@pytest.mark.parametrize(
    ("error", "component"),
    [
        (DatabaseUnreachable("gone"), "postgres"),
        (NotPermitted("gone"), "postgres"),
        (SchemaError("gone"), "schema"),
    ],
)
def test_what_postgresql_said_is_told_until_it_answers(
    watched: Watched, error: OutboxError, component: str
) -> None:
    watched.ask(error)
    assert watched.wrong == {component: "gone"}
    watched.ask(None)
    assert watched.wrong == {}


def test_one_statement_that_is_refused_is_no_outage(watched: Watched) -> None:
    watched.ask(OutboxError("a value that cannot be written"))
    assert watched.wrong == {}


def test_relay_that_stops_is_not_ready(watched: Watched) -> None:
    watched.tell("relay.stopping", signal="SIGTERM", within=30.0)
    assert watched.wrong == {"relay": "it is stopping"}


def test_due_events_of_which_none_gets_through_are_told_after_a_while(watched: Watched) -> None:
    watched.look(oldest_age=PATIENCE)
    watched.now += PATIENCE
    assert watched.wrong == {}
    watched.now += 1
    assert watched.wrong == {"progress": "events are due, and none got through for 46 s"}


@pytest.mark.parametrize("outcome", [Published("OUTBOX", 1), Failed("never")])
def test_event_that_is_done_is_progress(watched: Watched, outcome: Outcome) -> None:
    watched.look(oldest_age=1000)
    watched.now += 2 * PATIENCE
    watched.settle(outcome)
    assert watched.wrong == {}


def test_event_that_comes_back_is_none_and_neither_is_one_that_was_lost(watched: Watched) -> None:
    watched.look(oldest_age=1000)
    watched.now += 2 * PATIENCE
    watched.settle(Released("away"))
    watched.settle(Published("OUTBOX", 1), overtaken=1)
    assert set(watched.wrong) == {"progress"}


def test_young_events_after_a_quiet_night_are_no_alarm(watched: Watched) -> None:
    watched.now += 30_000
    watched.look(oldest_age=2)
    assert watched.wrong == {}


def test_old_backlog_at_the_start_gets_time_to_begin(watched: Watched) -> None:
    watched.look(oldest_age=30_000)
    assert watched.wrong == {}


def test_events_that_no_claim_may_take_are_no_alarm(watched: Watched) -> None:
    """Paused ones, or those behind one that has failed: they wait rightly."""
    watched.look(oldest_age=1000)
    watched.now += 2 * PATIENCE
    watched.tell("claim.empty")
    assert watched.wrong == {}


def test_route_that_keeps_all_events_back_is_named(watched: Watched) -> None:
    watched.look(oldest_age=1000)
    watched.resting = {"acme.stock.moved": "stream not found (10059)"}
    watched.now += 2 * PATIENCE
    watched.tell("claim.empty")
    assert watched.wrong["route"] == "acme.stock.moved: stream not found (10059)"


def test_route_that_rests_while_others_flow_is_no_alarm(watched: Watched) -> None:
    watched.look(oldest_age=1000)
    watched.resting = {"acme.stock.moved": "stream not found (10059)"}
    watched.now += 2 * PATIENCE
    watched.settle(Published("OUTBOX", 1))
    assert watched.wrong == {}
