"""Hand-written stand-ins that fit the relay's ports: a table, a JetStream and a bed, each in a few lines."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import anyio

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.relay.batches import Batch, Ticket
from outbox_notify.relay.claims import Claim, ClaimedEvent
from outbox_notify.relay.late_commits import Transactions
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Published
from outbox_notify.relay.position import Passed, Scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from outbox_notify.relay.claims import Wanted
    from outbox_notify.relay.outcomes import Outcome

ACKED = Published("OUTBOX", 1)
NOBODY = Transactions([], horizon=10, own=10)


def event(
    row_id: int, key: int | None = None, *, event_type: str = "stock.moved", attempts: int = 0
) -> ClaimedEvent:
    """Return a claimed event."""
    return ClaimedEvent(
        id=row_id,
        event_id=str(UUID(int=row_id)),
        tenant_id="acme",
        event_type=event_type,
        aggregate_type=None if key is None else "bin",
        aggregate_id=None if key is None else str(key),
        content_type="application/json",
        headers=None,
        created_at="2026-01-02T03:04:05.000006Z",
        ordering_key=key,
        attempts=attempts,
        body=b"{}",
    )


def batch_of(*events: ClaimedEvent, lease: float = 30.0) -> Batch:
    """Return a batch that was read."""
    batch = Batch(uuid4(), len(events), lease_clock() + lease)
    batch.hold(list(events))
    return batch


def scan(
    frontier: int,
    passed: Sequence[Passed] = (),
    *,
    free: int = 0,
    exhausted: bool = True,
    complete: bool = True,
    transactions: Transactions = NOBODY,
) -> Scan:
    """Return what a claim saw; unless told otherwise while nobody else was writing."""
    return Scan(frontier, free, exhausted, list(passed), complete, transactions)


@dataclass
class FakeOutbox:
    """A table that hands out prepared batches and remembers what was written.

    Args:
        batches: events of the claims to come, each list a claim; when they are used up a claim finds nothing.
        unreachable: how many of the next calls fail, by the name of the call.
        overtaken: tokens of leases that another relay has taken over.
        wanted: what each claim asked for.
        settled: what was written for each event, by row id.
        released: why batches were released whole, by token.
        server: which one answers.
        place: where it keeps the rows.
    """

    batches: deque[list[ClaimedEvent]] = field(default_factory=deque)
    suspect: bool = False
    next_due_in: float | None = None
    pause_ends_in: float | None = None
    unreachable: dict[str, int] = field(default_factory=dict)
    overtaken: set[UUID] = field(default_factory=set)
    wanted: list[Wanted] = field(default_factory=list)
    settled: dict[int, Outcome] = field(default_factory=dict)
    released: dict[UUID, str] = field(default_factory=dict)
    server: str = "first"
    place: int = 1
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _call: None
    _leases: dict[UUID, list[ClaimedEvent]] = field(default_factory=dict)

    def will_claim(self, *events: ClaimedEvent) -> None:
        """Prepare what the next claim finds."""
        self.batches.append(list(events))

    def lease(self, *events: ClaimedEvent) -> UUID:
        """Put events under a lease; return its token."""
        token = uuid4()
        self._leases[token] = list(events)
        return token

    async def claim(self, wanted: Wanted) -> Claim:
        """Hand out the next batch."""
        await self._call("claim")
        self.wanted.append(wanted)
        if not self.batches:
            nothing = scan(wanted.start - 1)
            return Claim(
                None,
                0,
                suspect=False,
                scan=nothing,
                foreign=[],
                next_due_in=self.next_due_in,
                server=self.server,
                pause_ends_in=self.pause_ends_in,
                place=self.place,
                leased_at=lease_clock(),
            )
        events = self.batches.popleft()
        token = self.lease(*events)
        seen = scan(max(row.id for row in events), free=len(events), exhausted=not self.batches)
        return Claim(
            token,
            len(events),
            self.suspect,
            seen,
            [],
            None,
            self.server,
            place=self.place,
            leased_at=lease_clock(),
        )

    async def read(self, token: UUID) -> list[ClaimedEvent]:
        """Return what was claimed."""
        await self._call("read")
        return [] if token in self.overtaken else self._leases[token]

    async def settle(self, token: UUID, outcomes: Mapping[ClaimedEvent, Outcome]) -> int:
        """Write outcomes down, unless the lease was overtaken."""
        await self._call("settle")
        if token in self.overtaken:
            return len(outcomes)
        self.settled.update({row.id: outcome for row, outcome in outcomes.items()})
        return 0

    async def release(self, token: UUID, reason: str) -> int:
        """Give a batch back whole."""
        await self._call("release")
        self.released[token] = reason
        return len(self._leases.get(token, []))

    async def _call(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)
        await anyio.lowlevel.checkpoint()
        if self.unreachable.get(name, 0):
            self.unreachable[name] -= 1
            raise DatabaseUnreachable("PostgreSQL is away")


@dataclass
class FakeSender:
    """A JetStream that answers as it is told.

    Args:
        decide: the answer to an event at once; None for no answer.
        sent: row ids in the order in which they were sent.
        given_up: row ids of events that were given up.
    """

    decide: Callable[[ClaimedEvent], Outcome | None] = lambda _event: ACKED
    on_outcome: Callable[[Ticket, Outcome], None] = lambda _ticket, _outcome: None
    unknown: Callable[[ClaimedEvent], Outcome] | None = None
    sent: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    there: anyio.Event = field(default_factory=anyio.Event)
    tickets: dict[int, Ticket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.there.set()

    @property
    def ready(self) -> bool:
        """Whether events can be published."""
        return self.there.is_set()

    async def wait_ready(self) -> None:
        """Wait until it is there."""
        await self.there.wait()

    async def send(self, tickets: Iterable[Ticket]) -> None:
        """Take events, and answer."""
        for ticket in tickets:
            self.sent.append(ticket.event.id)
            self.tickets[ticket.event.id] = ticket
            if (outcome := self.decide(ticket.event)) is not None:
                self.on_outcome(ticket, outcome)

    def give_up(self, tickets: Iterable[Ticket], sent_at: float) -> None:
        """Say what is to be said of events without an answer."""
        assert sent_at <= time.monotonic()
        for ticket in tickets:
            self.given_up.append(ticket.event.id)
            assert self.unknown is not None, "nothing was to be given up"
            self.on_outcome(ticket, self.unknown(ticket.event))

    def answer(self, row_id: int, outcome: Outcome = ACKED) -> None:
        """Answer late."""
        self.on_outcome(self.tickets[row_id], outcome)


@dataclass
class FakeWake:
    """A bed: sleeps until stirred, and remembers for how long it was meant to."""

    rests: list[float] = field(default_factory=list)
    asked: bool = False
    followed: list[str] = field(default_factory=list)
    let_go_of: int = 0
    resting: anyio.Event = field(default_factory=anyio.Event)
    stirred: anyio.Event = field(default_factory=anyio.Event)

    async def rest(self, wanted: float) -> None:
        """Sleep until stirred."""
        self.rests.append(wanted)
        self.resting.set()
        await self.stirred.wait()
        self.resting, self.stirred = anyio.Event(), anyio.Event()

    async def looked(self, claimed: int) -> None:
        """Take no notice."""

    async def let_go(self) -> None:
        """Count."""
        self.let_go_of += 1

    def stir(self) -> None:
        """End the sleep, or the next one."""
        self.stirred.set()

    def follow(self, server: str) -> None:
        """Write the server down."""
        self.followed.append(server)

    def scan_wanted(self) -> bool:
        """Return, once, whether a look at the whole table was asked for."""
        asked, self.asked = self.asked, False
        return asked


@dataclass
class Notes:
    """What was reported, in order."""

    taken: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, name: str, /, **facts: object) -> None:
        """Take note."""
        self.taken.append((name, facts))

    def of(self, name: str) -> list[dict[str, object]]:
        """Return the facts of every report of a name."""
        return [facts for taken, facts in self.taken if taken == name]


async def until(fact: Callable[[], bool], within: float = 5.0) -> None:
    """Return once a fact holds, however many turns of the loop that takes."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, f"not within {within:g} s"
        await anyio.sleep(0.001)
