"""The relay: claim, publish, settle, the three overlapping, until it is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from outbox_notify.errors import NotPermitted, OutboxError, SchemaError
from outbox_notify.relay.batches import Batch
from outbox_notify.relay.outcomes import Failed, Published, Released
from outbox_notify.relay.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from outbox_notify.relay.claimer import Claimer
    from outbox_notify.relay.delivery import Delivery
    from outbox_notify.relay.ports import Report, Sender, Wake

# One batch is claimed while one is published and one is settled.
BATCHES_IN_HAND = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0


class Relay:
    """Publishes every committed event.

    Args:
        claimer: takes batches.
        delivery: carries them.
        sender: JetStream; nothing is claimed while it is away.
        wake: what the relay sleeps on.
        report: takes notes.
        lease: how long a claim holds, seconds.
        draining: whether somebody waits for `drained`.
    """

    def __init__(
        self,
        claimer: Claimer,
        delivery: Delivery,
        sender: Sender,
        wake: Wake,
        report: Report,
        *,
        lease: float,
        draining: bool = False,
    ) -> None:
        self._claimer = claimer
        self._delivery = delivery
        self._sender = sender
        self._wake = wake
        self._report = report
        self._lease = lease
        self._draining = draining
        self._slots = anyio.Semaphore(BATCHES_IN_HAND)
        self._may_wait = anyio.CancelScope()
        self._stopping = False
        self._proven = False
        self._given_back = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._patience = 0.0
        self.drained = anyio.Event()
        self.progress = 0
        self.trouble: str | None = "PostgreSQL has not answered yet"

    async def run(self) -> None:
        """Work until stopped; what is in hand then is settled before this returns."""
        backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        async with anyio.create_task_group() as sending:
            sending.start_soon(self._delivery.send)
            async with anyio.create_task_group() as batches:
                while not self._stopping:
                    try:
                        await self._pass(batches)
                        backoff.reset()
                    except OutboxError as error:
                        self._note(error)
                        await self._wait(anyio.sleep, backoff.next())
            sending.cancel_scope.cancel()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._may_wait.cancel()

    async def _pass(self, batches: TaskGroup) -> None:
        """Claim once, and start what was claimed on its way; then rest, unless there is more."""
        if self._patience:
            await self._wait(anyio.sleep, self._patience)
        if not self._sender.ready:
            await self._wake.let_go()
        if not (await self._wait(self._sender.wait_ready) and await self._wait(self._slots.acquire)):
            return
        if not await self._wait(self._delivery.wait_writable):
            self._slots.release()
            return
        held = self._delivery.claiming()
        try:
            claim = await self._claimer.claim(held)
        except BaseException:
            self._slots.release()
            raise
        self._proven, self.trouble = True, None
        if claim.token is None:
            self._slots.release()
            await self._wake.looked(0)
        else:
            batch = Batch(claim.token, claim.claimed, claim.leased_at + self._lease, claim.suspect)
            self._delivery.line_up(batch)
            await self._send_off(batch, batches)
        if claim.scan.exhausted:
            if self._claimer.nothing_due(claim):
                self.drained.set()
            await self._wait(self._wake.rest, self._claimer.nothing_before(claim))

    async def _carry(self, batch: Batch) -> None:
        try:
            outcomes = await self._delivery.carry(batch)
            self.progress += sum(isinstance(outcome, Published | Failed) for outcome in outcomes.values())
            self._slow_down(nothing_moved=all(isinstance(outcome, Released) for outcome in outcomes.values()))
            if self._claimer.settled(batch.token, outcomes, written=batch.written) or self._draining:
                self._wake.stir()
        finally:
            self._slots.release()

    def _slow_down(self, *, nothing_moved: bool) -> None:
        """Claim more slowly while everything comes back: what is in the way is nobody's fault and needs time."""
        if nothing_moved:
            self._patience = self._given_back.next()
        else:
            self._given_back.reset()
            self._patience = 0.0

    async def _send_off(self, batch: Batch, batches: TaskGroup) -> None:
        """Start a batch on its way; one that has crashed relays goes alone, so that no other is blamed for it."""
        try:
            await self._wake.looked(batch.claimed)
            for _ in range(self._others(batch)):
                await self._slots.acquire()
        except BaseException:
            await self._delivery.give_back(batch)
            raise
        if not batch.alone:
            batches.start_soon(self._carry, batch)
            return
        try:
            await self._carry(batch)
        finally:
            for _ in range(self._others(batch)):
                self._slots.release()

    def _others(self, batch: Batch) -> int:
        """Return for how many others there must be no room beside a batch."""
        return BATCHES_IN_HAND - 1 if batch.alone else 0

    def _note(self, error: OutboxError) -> None:
        """Take an error for an outage, unless it shows at the very start that this relay cannot work here."""
        if not self._proven and isinstance(error, SchemaError | NotPermitted):
            raise error
        self.trouble = str(error)
        self._report("claim.postponed", reason=self.trouble)

    async def _wait(self, wait: Callable[..., Awaitable[object]], *arguments: float) -> bool:
        """Wait for something; return False when told to stop meanwhile."""
        with anyio.CancelScope() as self._may_wait:
            if not self._stopping:
                await wait(*arguments)
        return not self._stopping
