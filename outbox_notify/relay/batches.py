"""A batch of claimed events on its way, under one lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from uuid import UUID

    from outbox_notify.relay.claims import ClaimedEvent
    from outbox_notify.relay.outcomes import Outcome

# Why an event was not sent: another relay may have taken it over, and published later ones.
LEASE_RAN_OUT = "its lease ran out before it was sent"


@dataclass(slots=True, eq=False)
class Batch:
    """Events under one lease.

    Args:
        token: the lease.
        claimed: number of events under it.
        expires_at: when the lease ends at the earliest, on `lease_clock`.
        alone: whether its event has crashed relays before, and must be published with nothing else in hand.
        number: its place among all batches of this relay, from 1.
        may_enter: set once every batch claimed before it has entered the lanes.
        entered: set once it has entered them itself.
        done: set once every event has its outcome.
        written: whether the outcomes are in the table; if not, its events stay `in_progress` until the sweep.
    """

    token: UUID
    claimed: int
    expires_at: float
    alone: bool = False
    tickets: list[Ticket] = field(default_factory=list)
    under_way: int = 0
    number: int = 0
    may_enter: anyio.Event = field(default_factory=anyio.Event)
    entered: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)
    written: bool = False

    def hold(self, events: list[ClaimedEvent]) -> None:
        """Take in the events that were read under the lease."""
        self.tickets = [Ticket(event, self) for event in events]
        self.under_way = len(self.tickets)
        if not self.tickets:
            self.done.set()

    @property
    def unanswered(self) -> list[Ticket]:
        """The events that have no outcome yet."""
        return [ticket for ticket in self.tickets if ticket.outcome is None]

    @property
    def left_unread(self) -> list[Ticket]:
        """The events without an outcome for whose bodies there was no room."""
        return [
            ticket for ticket in self.unanswered if ticket.event.body is None and ticket.event.flaw is None
        ]

    @property
    def outcomes(self) -> dict[ClaimedEvent, Outcome]:
        """What became of each event that has an outcome."""
        return {ticket.event: ticket.outcome for ticket in self.tickets if ticket.outcome is not None}


@dataclass(slots=True, eq=False)
class Ticket:
    """One claimed event on its way.

    Args:
        event: what is to be published.
        batch: the batch that it is settled with.
        outcome: what became of it; None while it is under way.
        sent_at: when it was sent, on the monotonic clock; 0 before that.
        follower: the next event of the same aggregate, in this batch or in a later one.
        goes_along: whether it is sent together with the one before it, and so must not be sent after it once more.
    """

    event: ClaimedEvent
    batch: Batch = field(repr=False)
    outcome: Outcome | None = None
    sent_at: float = 0.0
    follower: Ticket | None = field(default=None, repr=False)
    goes_along: bool = False

    def resolve(self, outcome: Outcome) -> None:
        """Record what became of the event, once."""
        self.outcome = outcome
        self.batch.under_way -= 1
        if not self.batch.under_way:
            self.batch.done.set()
