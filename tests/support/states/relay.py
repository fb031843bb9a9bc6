"""A relay of the real parts whose every call to the table, and every message, waits for somebody to let it through."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.delivery import Delivery
from outbox_notify.relay.loop import Relay
from outbox_notify.relay.outcomes import Released
from outbox_notify.relay.routes import Routes
from outbox_notify.relay.sweeper import Sweeper
from tests.support.simulation import PollingWake

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Iterable

    from outbox_notify.relay.batches import Ticket
    from tests.support.states.model import ModelTable

OK, UNREACHABLE, ANSWER_LOST = "ok", "unreachable", "answer lost"
SWEEP_INTERVAL, PUBLISH_TIMEOUT = 5.0, 10.0
_CALLS = ("claim", "read", "settle", "release", "reclaim", "prune")


@dataclass(eq=False)
class Call:
    """A call to the table that waits.

    Args:
        fate: what becomes of it, once it is known.
        done: set once it has been made.
    """

    relay: SteppedRelay
    name: str
    fate: asyncio.Future[str]
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Message:
    """An event on the wire."""

    relay: SteppedRelay
    ticket: Ticket


@dataclass
class Traffic:
    """What is under way, of all relays.

    Args:
        calls: to the table, in the order in which they were made.
        wire: messages that have not arrived.
        on_send: told of every message that is sent.
    """

    calls: list[Call] = field(default_factory=list)
    wire: list[Message] = field(default_factory=list)
    on_send: Callable[[Ticket], None] = lambda _ticket: None

    async def wait(self, relay: SteppedRelay, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call when it is let through."""
        call = Call(relay, name, asyncio.get_running_loop().create_future())
        self.calls.append(call)
        try:
            fate = await call.fate
            result = None if fate == UNREACHABLE else await act()
        finally:
            self.calls.remove(call)
            call.done.set()
        if fate != OK:
            raise DatabaseUnreachable(fate)
        return result


class SteppedOutbox:
    """The table, each call a step.

    Args:
        table: the one table.
        relay: who calls.
        traffic: where the calls wait.
    """

    def __init__(self, table: ModelTable, relay: SteppedRelay, traffic: Traffic) -> None:
        for name in _CALLS:
            setattr(self, name, partial(self._call, name))
        self._table, self._relay, self._traffic = table, relay, traffic

    async def _call(self, name: str, *arguments: Any) -> Any:
        act = partial(getattr(self._table, name), self._relay.name, *arguments)
        return await self._traffic.wait(self._relay, name, act)


class SteppedSender:
    """JetStream as a relay sees it: always there; what is sent waits on the wire."""

    ready = True

    def __init__(self, relay: SteppedRelay, traffic: Traffic) -> None:
        self._relay, self._traffic = relay, traffic

    async def wait_ready(self) -> None:
        """Return at once."""

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Put events on the wire."""
        for ticket in tickets:
            self._traffic.on_send(ticket)
            self._traffic.wire.append(Message(self._relay, ticket))

    def give_up(self, tickets: Iterable[Ticket], sent_at: float) -> None:
        """Report events whose time is over."""
        del sent_at
        for ticket in tickets:
            self._relay.delivery.resolve(ticket, Released("no answer"))


class Bed(PollingWake):
    """The sleep of a relay: until it is over, or until somebody stirs."""

    async def rest(self, wanted: float) -> None:
        """Sleep."""
        with anyio.move_on_after(wanted):
            await self._stirred.wait()
        self._stirred = anyio.Event()


class SteppedRelay:
    """One relay: the real parts between the table and JetStream.

    Args:
        name: of the relay.
        table: the one table.
        traffic: where its calls and messages wait.
        counts: what it reports, by name.
    """

    def __init__(self, name: str, table: ModelTable, traffic: Traffic, counts: Counter[str]) -> None:
        self.name, self._counts = name, counts
        self._scope = anyio.CancelScope()
        self.bed = Bed()
        limits = table.limits
        outbox: Any = SteppedOutbox(table, self, traffic)
        sender = SteppedSender(self, traffic)
        claimer = Claimer(
            outbox, self.bed, Routes(), self._note,
            batch_size=limits.rows, batch_bytes=10**6, sweep_interval=SWEEP_INTERVAL,
        )  # fmt: skip
        self.delivery = Delivery(
            outbox, sender, self._note, claimer.note,
            publish_timeout=PUBLISH_TIMEOUT, max_attempts=limits.max_attempts, ordered=True, block=limits.block,
        )  # fmt: skip
        self.relay = Relay(claimer, self.delivery, sender, self.bed, self._note, lease=limits.lease)

        def look_again(first: int) -> None:
            claimer.lower(first)
            self.bed.stir()

        self._sweeper = Sweeper(outbox, look_again, self._note, interval=SWEEP_INTERVAL, prunes=True)

    async def run(self) -> None:
        """Relay until it is stopped, or dies."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._sweeper.run)
                await self.relay.run()
                tasks.cancel_scope.cancel()

    def die(self) -> None:
        """End where it stands; its leases run out."""
        self._scope.cancel()

    def _note(self, event: str, /, **facts: object) -> None:
        self._counts[event] += 1
        if event == "batch.settled" and facts["overtaken"]:
            self._counts["overtaken"] += 1
