"""In whatever order answers and settlements come: nothing is sent before all that stands before it got through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outbox_notify.relay.lanes import Lanes
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Retry
from tests.support.fakes import ACKED, batch_of, event

if TYPE_CHECKING:
    from outbox_notify.relay.batches import Batch, Ticket

_BATCHES_IN_HAND = 3
_OUTCOMES = st.sampled_from([ACKED, ACKED, ACKED, Released("away"), Retry("no"), Failed("never")])


@dataclass
class Row:
    """One event in the table: `fresh`, `claimed`, `returned`, `waiting` for its retry, or `done`."""

    id: int
    key: int
    state: str = "fresh"


class OneRelay(RuleBasedStateMachine):
    """A table that claims as `claim.sql` does, and the lanes of one relay in front of a JetStream without mercy."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, Row] = {}
        self.through: set[int] = set()
        self.sent: list[Ticket] = []
        self.held: set[int] | None = None
        self.taken: list[Row] | None = None
        self.outside: list[Batch] = []
        self.in_hand: list[Batch] = []
        self.written: list[Batch] = []

    @initialize(block=st.booleans())
    def start(self, block: bool) -> None:  # noqa: FBT001  # drawn by Hypothesis
        self.passing: tuple[type, ...] = (Published,) if block else (Published, Failed)
        self.lanes = Lanes(ordered=True, block=block)

    @rule(keys=st.lists(st.integers(1, 3), min_size=1, max_size=4))
    def write(self, keys: list[int]) -> None:
        for key in keys:
            self.rows[len(self.rows) + 1] = Row(len(self.rows) + 1, key)

    @precondition(lambda self: self.held is None and len(self.outside + self.in_hand) < _BATCHES_IN_HAND)
    @rule()
    def begin_a_claim(self) -> None:
        self.held = self.lanes.claiming()

    @precondition(lambda self: self.held is not None and self.taken is None)
    @rule(most=st.integers(1, 6))
    def look_and_take(self, most: int) -> None:
        assert self.held is not None
        held = set(self.held)
        self.taken = []
        for row in self.rows.values():
            if row.state == "waiting":
                held.add(row.key)
            elif row.state in {"fresh", "returned"} and row.key not in held and len(self.taken) < most:
                self.taken.append(row)
        for row in self.taken:
            row.state = "claimed"

    @precondition(lambda self: self.taken is not None)
    @rule()
    def line_up(self) -> None:
        if self.taken:
            batch = batch_of(*(event(row.id, row.key) for row in self.taken))
            batch.number = self.lanes.line_up()
            self.outside.append(batch)
        self.held = self.taken = None

    @precondition(lambda self: self.outside)
    @rule()
    def enter(self) -> None:
        batch = self.outside.pop(0)
        self.in_hand.append(batch)
        self.send(self.lanes.admit(batch.number, batch.tickets))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), outcome=_OUTCOMES)
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        self.resolve(data.draw(st.sampled_from(self.sent)), outcome)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.in_hand))
        for ticket in data.draw(st.permutations(batch.unanswered)):
            if ticket.outcome is None:
                self.resolve(ticket, Released("no answer"))

    @precondition(lambda self: any(batch.done.is_set() for batch in self.in_hand))
    @rule(data=st.data())
    def write_outcomes(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from([batch for batch in self.in_hand if batch.done.is_set()]))
        for ticket in batch.tickets:
            self.rows[ticket.event.id].state = self.state_after(ticket.outcome)
        self.in_hand.remove(batch)
        self.written.append(batch)

    @precondition(lambda self: self.written)
    @rule()
    def know_that_it_is_written(self) -> None:
        self.lanes.settled(self.written.pop(0).tickets)

    @rule()
    def retries_come_due(self) -> None:
        for row in self.rows.values():
            if row.state == "waiting":
                row.state = "returned"

    @invariant()
    def batch_is_done_when_all_its_events_are(self) -> None:
        for batch in self.in_hand:
            assert batch.done.is_set() == (not batch.unanswered)
            assert batch.under_way == len(batch.unanswered)

    def resolve(self, ticket: Ticket, outcome: Outcome) -> None:
        if ticket in self.sent:
            self.sent.remove(ticket)
        if isinstance(outcome, self.passing):
            self.through.add(ticket.event.id)
        self.send(self.lanes.resolve(ticket, outcome))

    def send(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            key = ticket.event.ordering_key
            before = {row.id for row in self.rows.values() if row.key == key and row.id < ticket.event.id}
            assert before <= self.through, f"{ticket.event.id} sent before {before - self.through}"
            self.sent.append(ticket)

    def state_after(self, outcome: Outcome | None) -> str:
        if isinstance(outcome, self.passing):
            return "done"
        # Under `block` a failed event holds its aggregate back, as one does that waits for its retry.
        return "waiting" if isinstance(outcome, Retry | Failed) else "returned"


TestOneRelay: Any = OneRelay.TestCase
TestOneRelay.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
