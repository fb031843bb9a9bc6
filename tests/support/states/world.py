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

_AGGREGATES = st.lists(st.sampled_from((1, 1, 2, None)), min_size=1, max_size=4)
# Which of several; as many as there may be.
_PLACE = st.integers(0, 7)
_RELAY = st.sampled_from(RELAYS)
_WRITTEN = st.sampled_from((OK, OK, OK, UNREACHABLE, ANSWER_LOST))
_READ = st.sampled_from((OK, OK, OK, UNREACHABLE))
_REFUSALS: tuple[Outcome, ...] = (
    Retry("no"), Retry("no"), Failed("never", counted=True), Rested(ROUTE, "full"), Released("no leader"),
)  # fmt: skip
_HOURS = 7200


class World(RuleBasedStateMachine):
    """Two relays on one table; a subclass says which table."""

    def new_stage(self) -> Stage:
        """Return a stage where nothing has happened."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.stage = self.new_stage()

    # Writers.

    @rule(aggregates=_AGGREGATES, delay=st.sampled_from((0.0, 0.0, 0.0, 20.0)), heard=st.booleans())
    def insert(self, aggregates: list[int | None], delay: float, heard: bool) -> None:  # noqa: FBT001  # drawn by name
        """Commit events, due at once or later; relays are notified, or not."""
        self.stage.end(self.stage.write(aggregates, delay=delay), commit=True)
        if heard:
            self.stage.wake()

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

    @precondition(lambda self: self._waiting("reclaim", "prune"))
    @rule(place=_PLACE, fate=_WRITTEN)
    def sweep(self, place: int, fate: str) -> None:
        """Let a relay take over leases that have run out, or delete what was published long ago."""
        self.stage.let(_one_of(self._waiting("reclaim", "prune"), place), fate)

    # Messages.

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE, acked=st.sampled_from((True, True, False)))
    def publish(self, place: int, acked: bool) -> None:  # noqa: FBT001  # drawn by name
        """Store a message; its ack comes at once, or late, or when nobody waits any more."""
        message = self._first_on_the_wire(place)
        ack = self.stage.store(message)
        if acked:
            self.stage.answer(message, ack)
        else:
            self.stage.answers.append((message, ack))

    @precondition(lambda self: self.stage.traffic.wire)
    @rule(place=_PLACE, refusal=st.none() | st.sampled_from(_REFUSALS))
    def refuse(self, place: int, refusal: Outcome | None) -> None:
        """Refuse a message, or lose it."""
        message = self._first_on_the_wire(place)
        self.stage.traffic.wire.remove(message)
        if refusal is not None:
            self.stage.answer(message, refusal)

    @precondition(lambda self: self.stage.answers)
    @rule(place=_PLACE)
    def answer(self, place: int) -> None:
        """Let a late ack arrive."""
        late = _one_of(self.stage.answers, place)
        self.stage.answers.remove(late)
        self.stage.answer(*late)

    # Relays, and time.

    @rule(seconds=st.sampled_from((5, 5, 15, 40, _HOURS)))
    def pass_time(self, seconds: int) -> None:
        """Let deadlines pass, retries come due, leases run out, published events grow old."""
        self.stage.pass_time(seconds)

    @rule(name=_RELAY, crash=st.booleans())
    def end_relay(self, name: str, crash: bool) -> None:  # noqa: FBT001  # drawn by name
        """Kill a relay, or drain it; another takes its place."""
        if crash:
            self.stage.crash(name)
        else:
            self.stage.stop(name)

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
