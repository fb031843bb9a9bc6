"""A batch from its claim to its settlement: read, publish in order, write what became of it."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import OutboxError
from outbox_notify.relay.batches import LEASE_RAN_OUT
from outbox_notify.relay.lanes import Lanes
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Outcome, Released, Retry
from outbox_notify.relay.retry import Backoff
from outbox_notify.relay.settling import FIRST_WAIT, LONGEST_WAIT, Settling

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from outbox_notify.relay.batches import Batch, Ticket
    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.ports import Outbox, Report, Sender

# Settling is shielded from a stop, but not for ever: what is not written then is reclaimed when its lease ends.
_SETTLE_ON_STOP = 5.0
# Of the time that a lease has left, this share may pass while waiting for acks; the rest is for settling.
_PUBLISH_SHARE = 0.7


class Delivery:
    """Carries batches, several at a time.

    Args:
        outbox: the table.
        sender: JetStream.
        report: takes notes.
        note: told what became of each event, as soon as it is known.
        publish_timeout: how long to wait for the acks of a batch, seconds.
        max_attempts: counted failures after which an event fails.
        ordered: whether aggregates keep their order.
        block: whether a failed event holds back its aggregate.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        report: Report,
        note: Callable[[ClaimedEvent, Outcome], None],
        *,
        publish_timeout: float,
        max_attempts: int,
        ordered: bool,
        block: bool,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._report = report
        self._note = note
        self._publish_timeout = publish_timeout
        self._max_attempts = max_attempts
        self._lanes = Lanes(ordered=ordered, block=block)
        self._settling = Settling(outbox, report)
        self._last_number = 0
        self._unread = 0
        self._unknown_to: int | None = 0
        self._last_entered = anyio.Event()
        self._last_entered.set()
        self._outgoing: deque[Ticket] = deque()
        self._outgoing_ready = anyio.Event()

    async def wait_writable(self) -> None:
        """Return when no outcome waits to be written: what is published while none can be is published again."""
        await self._settling.wait_writable()

    def claiming(self) -> Collection[int]:
        """Take in that a claim begins; return the keys that it has to leave alone.

        It sees in the table what is settled by now; what came back and is not settled yet, only the lanes know.
        """
        if not self._unread and self._unknown_to is None:
            self._unknown_to = self._last_number
        return self._lanes.claiming()

    def line_up(self, batch: Batch) -> None:
        """Give a batch its place behind those that were claimed before it; call it before the next claim."""
        batch.number = self._last_number = self._lanes.line_up()
        batch.may_enter, self._last_entered = self._last_entered, batch.entered

    async def carry(self, batch: Batch) -> Mapping[ClaimedEvent, Outcome]:
        """Publish the events of a batch and settle it; return what became of them.

        Batches enter the lanes in the order of `line_up`, however long each takes to be read.
        """
        try:
            events = await self._read(batch)
            await batch.may_enter.wait()
            batch.hold(events)
            self._enter(batch)
            batch.entered.set()
            await self._wait_for_answers(batch)
            await self._settle(batch)
        except BaseException:
            await self.give_back(batch)
            raise
        outcomes = batch.outcomes
        # Tickets and their batch know each other: their bodies would stay in memory until somebody looks for cycles.
        batch.tickets = []
        return outcomes

    async def give_back(self, batch: Batch) -> None:
        """Settle what is known of a batch and release the rest, since the relay stops at once."""
        batch.entered.set()
        with anyio.move_on_after(_SETTLE_ON_STOP, shield=True):
            await self._settle(batch)

    async def send(self) -> None:
        """Hand events to JetStream in the order in which they became free, until cancelled; the only task that does."""
        while True:
            await self._outgoing_ready.wait()
            self._outgoing_ready = anyio.Event()
            tickets, self._outgoing = self._outgoing, deque()
            await self._sender.send(self._still_leased(tickets))

    def resolve(self, ticket: Ticket, outcome: Outcome) -> None:
        """Take in what became of an event; the first answer counts."""
        if ticket.outcome is not None:
            return
        self._note(ticket.event, outcome)
        if isinstance(outcome, Retry) and ticket.event.attempts + 1 >= self._max_attempts:
            outcome = Failed(outcome.reason, counted=True, certain=False)
        self._dispatch(self._lanes.resolve(ticket, outcome))

    def _enter(self, batch: Batch) -> None:
        """Let the events of a batch into the lanes that were read, unless it is unknown what stands before them.

        An event that was claimed and could not be read, or was overtaken before that, holds back its aggregate,
        and nobody here knows which that is. So all that was claimed while it counted as ours goes back.
        """
        if len(batch.tickets) < batch.claimed:
            self._unread += 1
            self._unknown_to = None
        if self._unknown_to is None or batch.number <= self._unknown_to:
            for ticket in batch.tickets:
                ticket.resolve(Released("a batch before it could not be read"))
        for ticket in batch.left_unread:
            ticket.resolve(Released("its batch was larger than it seemed"))
        self._dispatch(self._lanes.admit(batch.number, batch.tickets))

    async def _read(self, batch: Batch) -> list[ClaimedEvent]:
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while lease_clock() < batch.expires_at:
            try:
                return await self._outbox.read(batch.token)
            except OutboxError as error:
                self._report("read.postponed", reason=str(error))
                await anyio.sleep(backoff.next())
        return []

    async def _wait_for_answers(self, batch: Batch) -> None:
        """Wait until every event has its outcome, but not so long that the lease could run out meanwhile."""
        sent_at = time.monotonic()
        left = batch.expires_at - lease_clock()
        with anyio.move_on_after(min(self._publish_timeout, left * _PUBLISH_SHARE)):
            await batch.done.wait()
        if batch.unanswered:
            self._sender.give_up(batch.unanswered, sent_at)

    def _dispatch(self, tickets: list[Ticket]) -> None:
        if tickets:
            self._outgoing.extend(tickets)
            self._outgoing_ready.set()

    def _still_leased(self, tickets: deque[Ticket]) -> Iterator[Ticket]:
        """Leave out events that were given up meanwhile, or whose lease has run out."""
        now = lease_clock()
        for ticket in tickets:
            if ticket.outcome is None and now >= ticket.batch.expires_at:
                self.resolve(ticket, Released(LEASE_RAN_OUT))
            if ticket.outcome is None:
                yield ticket

    async def _settle(self, batch: Batch) -> None:
        for ticket in batch.unanswered:
            self.resolve(ticket, Released("the relay stopped"))
        outcomes = batch.outcomes
        overtaken = await self._settling.write(batch, outcomes)
        self._lanes.settled(batch.tickets)
        if len(batch.tickets) < batch.claimed:
            self._unread -= 1
        self._report("batch.settled", outcomes=outcomes, overtaken=overtaken)
