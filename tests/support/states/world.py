"""The state machine: what may happen to events, one step at a time; what must hold is checked after each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry
from tests.support.states.choice import ROUTE
from tests.support.states.relay import ANSWER_LOST, OK, UNREACHABLE
from tests.support.states.stage import RELAYS, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.states.relay import Call, Message

T = TypeVar("T")

_AGGREGATES = st.lists(st.sampled_from((1, 2, None)), min_size=1, max_size=4)
# Which of several; as many as there may be.
_PLACE = st.integers(0, 7)
_RELAY = st.sampled_from(RELAYS)
_WRITTEN = st.sampled_from((OK, OK, OK, UNREACHABLE, ANSWER_LOST))
_READ = st.sampled_from((OK, OK, OK, UNREACHABLE))
_REFUSALS: tuple[Outcome, ...] = (
    Retry("no"), Retry("no"), Failed("never", counted=True), Rested(ROUTE, "full"), Released("no leader"),
)  # fmt: skip
_SCHEDULED, _HOURS = 20.0, 7200


class World(RuleBasedStateMachine):
    """Two relays on one table; a subclass says which table."""

    def new_stage(self) -> Stage:
        """Return a stage where nothing has happened."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.stage = self.new_stage()

    # Writers.

    @rule(aggregates=_AGGREGATES)
    def insert(self, aggregates: list[int | None]) -> None:
        """Commit events."""
        self.stage.end(self.stage.write(aggregates), commit=True)

    @rule(aggregates=_AGGREGATES)
    def schedule(self, aggregates: list[int | None]) -> None:
        """Commit events that are due later."""
        self.stage.end(self.stage.write(aggregates, delay=_SCHEDULED), commit=True)

    @precondition(lambda self: len(self.stage.table.unseen) < 2)
    @rule(aggregates=_AGGREGATES)
    def insert_slowly(self, aggregates: list[int | None]) -> None:
        """Insert events that are committed some other time, or never."""
        self.stage.write(aggregates)

    @precondition(lambda self: self.stage.table.unseen)
    @rule(place=_PLACE, commit=st.booleans())
    def end_slow_writer(self, place: int, commit: bool) -> None:  # noqa: FBT001  # drawn by name
        """Commit, or roll back."""
        self.stage.end(_one_of(list(self.stage.table.unseen), place), commit=commit)

    # Calls to the table.

    @precondition(lambda self: self._waiting("claim"))
    @rule(place=_PLACE, fate=_WRITTEN)
    def claim(self, place: int, fate: str) -> None:
        """Let a claim through."""
        self.stage.let(_one_of(self._waiting("claim"), place), fate)

    @precondition(lambda self: self._waiting("read"))
    @rule(place=_PLACE, fate=_READ)
    def read(self, place: int, fate: str) -> None:
        """Let a relay read what it has claimed."""
        self.stage.let(_one_of(self._waiting("read"), place), fate)

    @precondition(lambda self: self._waiting("settle", "release"))
    @rule(place=_PLACE, fate=_WRITTEN)
    def settle(self, place: int, fate: str) -> None:
        """Let outcomes be written, or a batch be given back whole."""
        self.stage.let(_one_of(self._waiting("settle", "release"), place), fate)

    @precondition(lambda self: self._waiting("reclaim"))
    @rule(place=_PLACE, fate=_WRITTEN)
    def reclaim(self, place: int, fate: str) -> None:
        """Let a relay take over leases that have run out."""
        self.stage.let(_one_of(self._waiting("reclaim"), place), fate)

    @precondition(lambda self: self._waiting("prune"))
    @rule(place=_PLACE, fate=_WRITTEN)
    def prune(self, place: int, fate: str) -> None:
        """Let a relay delete what was published long ago."""
        self.stage.let(_one_of(self._waiting("prune"), place), fate)

    # Messages.

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE)
    def publish(self, place: int) -> None:
        """Store a message, and acknowledge it."""
        message = self._first_on_the_wire(place)
        self.stage.answer(message, self.stage.store(message))

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE, refusal=st.sampled_from(_REFUSALS))
    def refuse(self, place: int, refusal: Outcome) -> None:
        """Refuse a message."""
        message = self._first_on_the_wire(place)
        self.stage.traffic.wire.remove(message)
        self.stage.answer(message, refusal)

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE)
    def publish_and_answer_late(self, place: int) -> None:
        """Store a message; its ack takes its time, or comes when nobody waits any more."""
        message = self._first_on_the_wire(place)
        self.stage.answers.append((message, self.stage.store(message)))

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE)
    def lose(self, place: int) -> None:
        """Lose a message."""
        self.stage.traffic.wire.remove(self._first_on_the_wire(place))

    @precondition(lambda self: self.stage.answers)
    @rule(place=_PLACE)
    def answer(self, place: int) -> None:
        """Let a late ack arrive."""
        late = _one_of(self.stage.answers, place)
        self.stage.answers.remove(late)
        self.stage.answer(*late)

    # Relays, and time.

    @rule(seconds=st.sampled_from((5, 5, 15, 40)))
    def pass_time(self, seconds: int) -> None:
        """Let deadlines pass, retries come due, leases run out."""
        self.stage.pass_time(seconds)

    @rule()
    def pass_hours(self) -> None:
        """Let what was published grow old."""
        self.stage.pass_time(_HOURS)

    @rule(name=_RELAY)
    def crash(self, name: str) -> None:
        """Kill a relay."""
        self.stage.crash(name)

    @rule(name=_RELAY)
    def stop(self, name: str) -> None:
        """Drain a relay."""
        self.stage.stop(name)

    @rule(name=_RELAY)
    def wake(self, name: str) -> None:
        """Stir a relay."""
        self.stage.loop.call(self.stage.relays[name].bed.stir)

    @rule(name=_RELAY | st.none(), steps=st.integers(1, 20))
    def work(self, name: str | None, steps: int) -> None:
        """Let some steps go well, of all relays or of one: the other has time to be overtaken."""
        for _ in range(steps):
            self.stage.go_on(name)

    # Operators.

    @precondition(lambda self: self.stage.failed())
    @rule(place=_PLACE, heard=st.booleans())
    def requeue(self, place: int, heard: bool) -> None:  # noqa: FBT001  # drawn by name
        """Give a failed event back."""
        assert self.stage.requeue([_one_of(self.stage.failed(), place)], heard=heard) == 1

    @precondition(lambda self: self.stage.failed())
    @rule(place=_PLACE, heard=st.booleans())
    def discard(self, place: int, heard: bool) -> None:  # noqa: FBT001  # drawn by name
        """Delete a failed event."""
        assert self.stage.discard(_one_of(self.stage.failed(), place), heard=heard) == 1

    @precondition(lambda self: len(self.stage.table.rows) > len(self.stage.failed()))
    @rule(place=_PLACE)
    def requeue_what_has_not_failed(self, place: int) -> None:
        """Name an event that has not failed: nothing happens to it."""
        others = [row.id for row in self.stage.table.rows.values() if row.status != "failed"]
        assert self.stage.requeue([_one_of(others, place)], heard=False) == 0

    @invariant()
    def all_is_as_it_may_be(self) -> None:
        """See `Stage.check`."""
        self.stage.check()

    def teardown(self) -> None:
        """Let everything go well from here on: every committed event ends published."""
        try:
            self.stage.end_well()
        finally:
            self.stage.close()
        self.stage.counts["stories"] += 1
        self.stage.counts["events"] += len(self.stage.committed)

    def _waiting(self, *names: str) -> list[Call]:
        return [call for call in self.stage.traffic.calls if call.name in names]

    def _first_on_the_wire(self, place: int) -> Message:
        """Return a message of some relay: those of one arrive in the order in which they were sent."""
        first = {message.relay: message for message in reversed(self.stage.traffic.wire)}
        return _one_of(list(first.values()), place)


def _one_of(choices: Sequence[T], place: int) -> T:
    return choices[place % len(choices)]
