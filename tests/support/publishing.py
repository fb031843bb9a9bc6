"""A publisher on its own: what it is given, what it says became of it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio

from outbox_notify.config.settings import Settings
from outbox_notify.jetstream.messages import Encoder
from outbox_notify.jetstream.publisher import Publisher
from outbox_notify.relay.batches import Batch, Ticket
from outbox_notify.relay.claims import ClaimedEvent
from outbox_notify.relay.leases import lease_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from outbox_notify.jetstream.guarded import GuardedClient
    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.outcomes import Outcome

_TIMEOUT = 20.0


def ticket(event_type: str = "stock.moved", **columns: Any) -> Ticket:
    """Return a claimed event of the tenant acme, in a batch of its own."""
    values: dict[str, Any] = {
        "id": 1, "event_id": str(uuid4()), "tenant_id": "acme", "event_type": event_type, "aggregate_type": None,
        "aggregate_id": None, "content_type": "application/json", "headers": None,
        "created_at": "2026-01-02T03:04:05.000006Z", "ordering_key": None, "attempts": 0, "body": b"1", **columns,
    }  # fmt: skip
    return Ticket(ClaimedEvent(**values), Batch(uuid4(), 1, lease_clock() + 30))


@dataclass
class Desk:
    """A running publisher.

    Args:
        outcomes: everything that was said to become of each event, in order.
        reports: name and facts of everything it reported.
    """

    outcomes: dict[Ticket, list[Outcome]] = field(default_factory=dict)
    reports: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    publisher: Publisher = field(init=False)

    def note(self, sent: Ticket, outcome: Outcome) -> None:
        self.outcomes.setdefault(sent, []).append(outcome)
        sent.outcome = outcome

    def report(self, event: str, /, **facts: object) -> None:
        self.reports.append((event, facts))

    @property
    def client(self) -> GuardedClient:
        """The client of the connection that there is."""
        return self._session.client

    @property
    def streams(self) -> set[str]:
        """The streams whose acks count."""
        return self._session.streams

    @property
    def _session(self) -> Session:
        session = self.publisher._session
        assert session is not None, f"not connected: {self.publisher.outage}"
        return session

    @property
    def waiting(self) -> list[Ticket]:
        """The events whose own answer is waited for."""
        sending = self.publisher._sending
        return sending._one_by_one.waiting if sending is not None else []

    async def ready(self) -> None:
        """Return once events can be published."""
        with anyio.fail_after(_TIMEOUT):
            await self.publisher.wait_ready()
        # What the stream is like comes a moment later, and must not be taken for a sign of life after that.
        with anyio.move_on_after(1):
            await self.until(lambda: self.publisher._last_answer > 0, "what the stream is like")

    async def publish(self, *tickets: Ticket) -> list[Outcome]:
        """Send events and return what became of each, once all is known."""
        await self.publisher.send(tickets)
        await self.until(lambda: all(sent in self.outcomes for sent in tickets), "outcomes")
        return [self.outcomes[sent][-1] for sent in tickets]

    async def until(self, fact: Callable[[], bool], what: str, within: float = _TIMEOUT) -> None:
        """Return once the fact holds; fail with `what` after `within` seconds."""
        deadline = time.monotonic() + within
        while not fact():
            assert time.monotonic() < deadline, f"waited {within:g} s for {what}; {self.publisher.outage}"
            await anyio.sleep(0.005)


@asynccontextmanager
async def publishing(url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Run a publisher for the time of the context."""
    desk = Desk()
    desk.publisher = Publisher(
        Settings(nats_url=url, **settings), Encoder("events", "outbox-notify"), desk.note, desk.report
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.publisher.run)
        try:
            yield desk
        finally:
            tasks.cancel_scope.cancel()
