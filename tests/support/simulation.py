"""Several relays on one real table, in one process, before a JetStream that answers as the dice say.

Everything between the table and JetStream is the real thing: claimer, lanes, delivery, storage, sweeper. What the
dice decide: what becomes of each message, how long each call takes, and when a relay dies with all it has in hand.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from outbox_notify.postgres.storage import Storage
from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.delivery import Delivery
from outbox_notify.relay.loop import Relay
from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry
from outbox_notify.relay.routes import Routes
from outbox_notify.relay.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random
    from uuid import UUID

    from anyio.abc import TaskGroup

    from outbox_notify.config.settings import Settings
    from outbox_notify.postgres.storage import Pruned, Reclaimed
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.claims import Claim, ClaimedEvent, Wanted

LEASE = 1.0


@dataclass
class Stream:
    """What JetStream holds.

    Args:
        stored: row ids in the order in which they were stored first.
        sent: how often each row was sent.
        refused: rows that were refused for a reason of their own, whether or not anybody lived to write it down.
    """

    stored: dict[int, None] = field(default_factory=dict)
    sent: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)

    def store(self, row_id: int) -> None:
        """Store a message, unless it is there already."""
        self.stored.setdefault(row_id)


class DicedSender:
    """JetStream as one relay sees it: messages arrive in the order sent, their fates are drawn.

    Args:
        stream: shared by all relays.
        random: the dice.
    """

    def __init__(self, stream: Stream, random: Random) -> None:
        self.ready = True
        self.kind = False
        self.delivery: Delivery | None = None
        self._stream = stream
        self._random = random
        self._wire: deque[Ticket] = deque()
        self._sent = anyio.Event()

    async def wait_ready(self) -> None:
        """Return at once: this JetStream is always there."""

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Put events on the wire."""
        for ticket in tickets:
            self._stream.sent[ticket.event.id] += 1
            self._wire.append(ticket)
        self._sent.set()

    def give_up(self, tickets: Iterable[Ticket], sent_at: float) -> None:
        """Report events whose time is over."""
        assert sent_at <= time.monotonic()
        shuffled = list(tickets)
        self._random.shuffle(shuffled)
        for ticket in shuffled:
            self._report(ticket, Released("no answer"))

    async def run(self) -> None:
        """Answer what arrives, until cancelled."""
        async with anyio.create_task_group() as answers:
            while True:
                await self._sent.wait()
                self._sent = anyio.Event()
                while self._wire:
                    await anyio.sleep(self._random.choice((0, 0, 0, 0.001)))
                    self._arrive(self._wire.popleft(), answers)

    def _arrive(self, ticket: Ticket, answers: TaskGroup) -> None:
        fate = 1.0 if self.kind else self._random.random()
        row_id = ticket.event.id
        if fate < 0.01:
            if self._random.random() < 0.5:
                self._stream.store(row_id)
            return
        outcome = self._outcome(fate, ticket.event)
        if isinstance(outcome, Published):
            self._stream.store(row_id)
        if isinstance(outcome, Retry | Failed):
            self._stream.refused.add(row_id)
        answers.start_soon(self._answer, ticket, outcome)

    def _outcome(self, fate: float, event: ClaimedEvent) -> Outcome:
        if fate < 0.03:
            return Retry("refused")
        if fate < 0.045:
            return Failed("never", counted=True)
        if fate < 0.05:
            return Rested(event.route, "no stream")
        if fate < 0.06:
            return Released("no leader")
        return Published("OUTBOX", 1)

    async def _answer(self, ticket: Ticket, outcome: Outcome) -> None:
        await anyio.sleep(self._random.choice((0, 0, 0.001, 0.01)))
        self._report(ticket, outcome)

    def _report(self, ticket: Ticket, outcome: Outcome) -> None:
        assert self.delivery is not None
        self.delivery.resolve(ticket, outcome)


class DicedOutbox:
    """The real table, each call as slow as the dice say.

    Args:
        storage: the table.
        random: the dice.
    """

    def __init__(self, storage: Storage, random: Random) -> None:
        self.hasty = False
        self._storage = storage
        self._random = random

    async def claim(self, wanted: Wanted) -> Claim:
        """Claim, sooner or later."""
        await self._dawdle()
        claim = await self._storage.claim(wanted)
        await self._dawdle()
        return claim

    async def read(self, token: UUID) -> list[ClaimedEvent]:
        """Read, sooner or later."""
        await self._dawdle()
        events = await self._storage.read(token)
        await self._dawdle()
        return events

    async def settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Settle, sooner or later; now and then when the lease has run out."""
        await self._dawdle()
        if not self.hasty and self._random.random() < 0.005:
            await anyio.sleep(LEASE * 1.5)
        overtaken = await self._storage.settle(token, outcomes)
        await self._dawdle()
        return overtaken

    async def release(self, token: UUID, reason: str) -> int:
        """Release."""
        return await self._storage.release(token, reason)

    async def reclaim(self, rows: int) -> Reclaimed:
        """Reclaim."""
        return await self._storage.reclaim(rows)

    async def prune(self, after: int, rows: int) -> Pruned:
        """Prune."""
        return await self._storage.prune(after, rows)

    async def _dawdle(self) -> None:
        if not self.hasty:
            await anyio.sleep(self._random.choice((0, 0, 0, 0.002, 0.02)))


class PollingWake:
    """Sleep of a relay that looks every few milliseconds, and scans when it is told to."""

    def __init__(self) -> None:
        self.asked = False
        self._stirred = anyio.Event()

    async def rest(self, wanted: float) -> None:
        """Sleep a little."""
        with anyio.move_on_after(min(wanted, 0.02)):
            await self._stirred.wait()
        self._stirred = anyio.Event()

    async def looked(self, claimed: int) -> None:
        """Take no notice."""

    async def let_go(self) -> None:
        """Hold nothing."""

    def stir(self) -> None:
        """End the sleep."""
        self._stirred.set()

    def follow(self, server: str) -> None:
        """Listen to this server."""

    def scan_wanted(self) -> bool:
        """Return, once, whether a look at the whole table was asked for."""
        asked, self.asked = self.asked, False
        return asked


class SimulatedRelay:
    """One relay with a memory of its own, on its own connections.

    Args:
        settings: as of a real one.
        stream: where its events go.
        random: the dice.
    """

    def __init__(self, settings: Settings, stream: Stream, random: Random) -> None:
        self._settings = settings
        self._scope = anyio.CancelScope()
        self.storage = Storage(settings, lambda _attempt: random.uniform(0, 0.3))
        self.outbox = DicedOutbox(self.storage, random)
        self.sender = DicedSender(stream, random)
        self.wake = PollingWake()
        self.reports: Counter[str] = Counter()
        self.claimer = Claimer(
            self.outbox,
            self.wake,
            Routes(),
            self._note,
            batch_size=settings.batch_size,
            batch_bytes=1_000_000,
            sweep_interval=settings.sweep_interval,
        )
        self.sender.delivery = self.delivery = Delivery(
            self.outbox,
            self.sender,
            self._note,
            self.claimer.note,
            publish_timeout=settings.publish_timeout,
            max_attempts=settings.max_attempts,
            ordered=True,
            block=settings.on_failed == "block",
        )
        self.relay = Relay(
            self.claimer, self.delivery, self.sender, self.wake, self._note, lease=settings.lease
        )
        self._sweeper = Sweeper(self.outbox, self.claimer.lower, self._note, interval=0.3, prunes=False)

    async def run(self) -> None:
        """Relay until it dies."""
        async with self.storage.opened():
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.sender.run)
                    tasks.start_soon(self._sweeper.run)
                    await self.relay.run()

    def die(self) -> None:
        """Stop where it stands; its leases run out."""
        self._scope.cancel()

    def _note(self, event: str, /, **facts: object) -> None:
        self.reports[event] += 1
        if event == "batch.settled" and facts["overtaken"]:
            self.reports["lease.lost"] += 1
