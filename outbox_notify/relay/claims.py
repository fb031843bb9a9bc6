"""A claim, as values: what is asked for, and what was got. What each field means in SQL stands in `sql/claim.sql`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from outbox_notify.relay.position import Scan


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a claim asks for.

    Args:
        start: id to scan from, unless one of `running` has ended.
        running: transactions that ran when last looked.
        running_from: the lowest id that each of them may have drawn; the scan starts at that of who has ended.
        scan: rows to look at.
        bytes: bodies together, at most.
        own: leases of this relay.
        foreign: older leases of others that were held when last looked at.
        seen_to: the newest lease known.
        passed: keys whose events were passed over, with the first id of each.
        held: keys of events that are on their way back to the table.
        resting: subjects without prefix whose route rests.
        resting_tenants: tenants that rest as a whole.
    """

    start: int
    running: list[int]
    running_from: list[int]
    scan: int
    bytes: int
    own: list[UUID]
    foreign: list[UUID]
    seen_to: UUID
    passed: dict[int, int]
    held: list[int]
    resting: list[str]
    resting_tenants: list[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim got.

    Args:
        token: the lease; None when nothing was claimed.
        claimed: number of events under it.
        suspect: whether its one event has crashed relays before.
        scan: what was seen on the way.
        foreign: leases of other relays.
        leased_at: when the lease began at the earliest, on `lease_clock`.
        next_due_in: seconds until the next waiting event comes due; None when none waits.
        pause_ends_in: seconds until the first pause is over by itself; None when none will be.
        place: where the rows are kept; another one once all were removed at once, or written anew.
        server: which PostgreSQL answered: since when it runs, RFC 3339.
    """

    token: UUID | None
    claimed: int
    suspect: bool
    scan: Scan
    foreign: list[UUID]
    next_due_in: float | None
    server: str = ""
    pause_ends_in: float | None = None
    place: int = 0
    leased_at: float = field(kw_only=True)


@dataclass(slots=True, eq=False)
class ClaimedEvent:
    """A row of the outbox under a lease of this relay.

    Args:
        created_at: RFC 3339, in UTC.
        headers: the row's headers as JSON text; None when there are none.
        attempts: publishes that failed because of it so far.
        body: the payload as it goes on the wire; None when it was not read, for want of room.
        tried: whether it was in hand before, and so may be in the stream already.
        flaw: why it cannot be read, if so: then body and headers are missing.
    """

    id: int
    event_id: str
    tenant_id: str
    event_type: str
    aggregate_type: str | None
    aggregate_id: str | None
    content_type: str
    headers: str | None
    created_at: str
    ordering_key: int | None
    attempts: int
    body: bytes | None
    tried: bool = False
    flaw: str | None = None

    @property
    def route(self) -> str:
        """Its subject without the prefix."""
        return f"{self.tenant_id}.{self.event_type}"
