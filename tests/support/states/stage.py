"""What the state machine plays on: two relays, their writers, the stream, and the memory of what has happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from outbox_notify.relay.outcomes import Outcome, Published
from tests.support.states.relay import OK, SteppedRelay, Traffic

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Collection, Iterable

    from outbox_notify.relay.batches import Ticket
    from tests.support.states.model import ModelTable, Row
    from tests.support.states.relay import Call, Message
    from tests.support.states.virtual_time import VirtualLoop

RELAYS = ("one", "two")
SHORT_WHILE = 5
# Steps that all events of a story may take to be published, when every step goes well.
_PATIENCE = 3000


class Stage:
    """Everything there is in one story.

    Args:
        loop: that relays run on.
        table: empty.
        counts: takes what happens.
    """

    def __init__(self, loop: VirtualLoop, table: ModelTable, counts: Counter[str]) -> None:
        self.loop, self.table, self.counts = loop, table, counts
        self.traffic = Traffic(on_send=self._see_the_lease)
        self.answers: list[tuple[Message, Outcome]] = []
        self.stored: dict[str, int] = {}
        self.committed: dict[int, Row] = {}
        self.published: set[int] = set()
        # Events that have no place in the order: scheduled, failed where that does not block, discarded.
        self.out_of_turn: set[int] = set()
        self._aggregates: dict[int, int | None] = {}
        self._tasks: dict[str, Task[None]] = {}
        self.relays = {name: self._started(name) for name in RELAYS}

    def write(self, aggregates: Iterable[int | None], *, delay: float = 0.0) -> int:
        """Begin a transaction and insert events of the aggregates that no other writer has locked."""
        locked = {self._aggregates[row.id] for rows in self.table.unseen.values() for row in rows} - {None}
        free = [aggregate for aggregate in aggregates if aggregate not in locked] or [None]
        transaction: int = self.loop.do(self.table.begin(free, delay))
        rows = self.table.unseen[transaction]
        self._aggregates |= {row.id: aggregate for row, aggregate in zip(rows, free, strict=True)}
        if delay:
            self.out_of_turn |= {row.id for row in rows}
        return transaction

    def end(self, transaction: int, *, commit: bool) -> None:
        """Commit a transaction, or roll it back."""
        rows = self.loop.do(self.table.end(transaction, commit=commit))
        self.committed |= {row.id: row for row in rows}

    def let(self, call: Call, fate: str) -> None:
        """Let a call to the table through, to its fate."""
        self.loop.call_soon(call.fate.set_result, fate)
        self.loop.do(call.done.wait())

    def store(self, message: Message) -> Published:
        """Store a message as JetStream does; return the ack."""
        self.traffic.wire.remove(message)
        event = message.ticket.event
        assert event.id in self.committed or event.id in self.out_of_turn, "published, and never committed"
        duplicate = event.event_id in self.stored
        self.stored.setdefault(event.event_id, event.id)
        self.counts["duplicate acks"] += duplicate
        return Published("OUTBOX", len(self.stored), duplicate)

    def answer(self, message: Message, outcome: Outcome) -> None:
        """Tell a relay what became of a message."""
        self.loop.call(message.relay.delivery.resolve, message.ticket, outcome)

    def pass_time(self, seconds: int) -> None:
        """Let time pass everywhere."""
        self.table.pass_time(seconds)
        self.loop.pass_time(seconds)

    def failed(self) -> list[int]:
        """Return the events that have failed."""
        return [row.id for row in self.table.rows.values() if row.status == "failed"]

    def requeue(self, ids: Collection[int], *, heard: bool) -> int:
        """Give failed events back; relays hear of it, or find it themselves."""
        requeued: int = self.loop.do(self.table.requeue(ids))
        self._tell_relays(heard=heard)
        return requeued

    def discard(self, row_id: int, *, heard: bool) -> int:
        """Delete a failed event."""
        discarded: int = self.loop.do(self.table.discard([row_id]))
        self.out_of_turn.add(row_id)
        del self.committed[row_id]
        self._tell_relays(heard=heard)
        return discarded

    def wake(self) -> None:
        """Stir all relays."""
        for relay in self.relays.values():
            self.loop.call(relay.bed.stir)

    def crash(self, name: str) -> None:
        """Let a relay die with all it has in hand; another takes its place."""
        self.loop.call(self.relays[name].die)
        self._replace(name)

    def stop(self, name: str) -> None:
        """Tell a relay to stop; when it has settled what it has in hand, another takes its place."""
        self.loop.call(self.relays[name].relay.stop)
        while not self._tasks[name].done():
            if not self.go_on():
                self.pass_time(SHORT_WHILE)
        self._replace(name)

    def go_on(self, name: str | None = None) -> bool:
        """Let the next step go well, of any relay or of one; return whether there was one."""
        wanted = [self.relays[name]] if name else list(self.relays.values())
        message = next((message for message in self.traffic.wire if message.relay in wanted), None)
        call = next((call for call in self.traffic.calls if call.relay in wanted), None)
        if message is not None:
            self.answer(message, self.store(message))
        elif call is not None:
            self.let(call, OK)
        return bool(message or call)

    def end_well(self) -> None:
        """Let every step go well until every committed event is published."""
        for transaction in list(self.table.unseen):
            self.end(transaction, commit=True)
        for _ in range(_PATIENCE):
            if failed := self.failed():
                self.requeue(failed, heard=True)
            if not self.go_on():
                self.pass_time(SHORT_WHILE)
            self.check()
            if all(row.status == "published" for row in self.table.rows.values()):
                return
        raise AssertionError(f"not published, though all goes well: {self.table.rows}")

    def close(self) -> None:
        """End the relays, whatever they are doing."""
        for relay in self.relays.values():
            self.loop.call(relay.die)
        for task in self._tasks.values():
            task.cancel()
        self.loop.until_idle()

    def check(self) -> None:
        """Fail when something is as it must never be."""
        self._check_relays()
        self._check_rows()
        self._check_order()

    def _check_relays(self) -> None:
        """Raise what has ended a relay: left alone, the others would only wait for what it had in hand."""
        for task in self._tasks.values():
            if task.done():
                task.result()

    def _check_rows(self) -> None:
        """One lease a row, attempts and claims bounded, published for good, and only what is stored."""
        limits, rows = self.table.limits, self.table.rows
        for row in rows.values():
            assert (row.status == "in_progress") == (row.token is not None)
            assert row.event_id == self.committed[row.id].event_id
            assert row.attempts <= limits.max_attempts
            assert row.claims <= limits.max_claims + 1
        published = {row.id for row in rows.values() if row.status == "published"}
        assert self.published & rows.keys() <= published
        assert {rows[row_id].event_id for row_id in published} <= self.stored.keys()
        self.published |= published
        # What is gone was published before, or discarded.
        assert self.committed.keys() - rows.keys() <= self.published
        if not limits.block:
            self.out_of_turn |= set(self.failed())

    def _check_order(self) -> None:
        """By aggregate, first occurrences in the stream are in write order."""
        stored = defaultdict(list)
        for row_id in self.stored.values():
            aggregate = self._aggregates[row_id]
            if aggregate is not None and row_id not in self.out_of_turn:
                stored[aggregate].append(row_id)
        for ids in stored.values():
            assert all(earlier < later for earlier, later in pairwise(ids)), f"out of order: {ids}"

    def _see_the_lease(self, ticket: Ticket) -> None:
        """Fail when something is sent that is not, or not any more, under the lease of who sends it."""
        row = self.table.rows[ticket.event.id]
        assert row.token == ticket.batch.token, f"sent without a lease: {row}"

    def _started(self, name: str) -> SteppedRelay:
        relay = self.loop.call(SteppedRelay, name, self.table, self.traffic, self.counts)
        self._tasks[name] = self.loop.create_task(relay.run())
        self.loop.until_idle()
        return relay

    def _replace(self, name: str) -> None:
        # Raises what has ended it, if anything has.
        self._tasks[name].result()
        self.relays[name] = self._started(name)

    def _tell_relays(self, *, heard: bool) -> None:
        for relay in self.relays.values() if heard else ():
            relay.bed.asked = True
            self.loop.call(relay.bed.stir)
