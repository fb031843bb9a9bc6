"""Where the next claim starts to look, so that it does not wade through what is done or may not go yet.

Rows due from birth are claimed in the order of `id` and never come back to their old place unseen, so a claim can
start where the last one ended. Two things keep it honest. A slow writer may commit a low id late: whoever was
running during a claim is remembered with the lowest id that it may have drawn, and the first claim after its end
starts there. And a row that was passed over because its aggregate is held elsewhere is remembered by its key: later
events of that key wait until the scan has gone back for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from outbox_notify.relay.late_commits import LateCommits, Transactions

_MOST_PASSED_KEYS = 2048
_MOST_KEYS_OF_A_TENANT = 256
_LONGEST_LOOK = 5_000_000
_NO_LEASE = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Passed:
    """Rows of one key that a scan left where they are.

    Args:
        key: the ordering key; None for rows without an aggregate.
        first: the lowest id among them.
        rests: whether their route rests, rather than their aggregate being held.
    """

    tenant_id: str
    key: int | None
    first: int
    rests: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a claim saw.

    Args:
        frontier: up to here every due row was taken or passed over.
        free: how many of the rows it looked at may go.
        exhausted: whether it reached the end of the table, with nothing due left behind.
        passed: what it passed over, lowest id first.
        complete: whether `passed` holds all of that.
        transactions: who may have drawn ids that nobody saw yet.
    """

    frontier: int
    free: int
    exhausted: bool
    passed: list[Passed]
    complete: bool
    transactions: Transactions


class Frontier:
    """The position of a relay in the table.

    Args:
        look: how many rows a scan looks at when most of them may go.
    """

    def __init__(self, look: int) -> None:
        self._least_look = look
        self.look = look
        self.frontier = 0
        self.late = LateCommits()
        self.passed: dict[int, int] = {}
        self.resting_tenants: set[str] = set()
        self._lowered = False
        self._came_free: set[int] = set()

    def begin(self) -> int:
        """Note that a claim begins; return the id to scan from, unless a transaction known to run has ended."""
        self._lowered = False
        self._came_free.clear()
        unlisted = self.late.unlisted_from
        return self.frontier if unlisted is None else min(self.frontier, unlisted)

    def advance(self, scan: Scan, claimed: int) -> None:
        """Move on after a claim; not when something came free behind it while it ran.

        Args:
            scan: what it saw.
            claimed: how many events it took.
        """
        if self._lowered or any(row.key in self._came_free for row in scan.passed):
            return
        reached = self._remember(scan)
        stuck = reached < scan.frontier and claimed == 0
        self._widen(stuck=stuck, hardly=scan.free * 2 < self._least_look and not scan.exhausted)
        self.frontier = reached + 1
        self.late.passed(scan.transactions, reached + 1)

    def lower(self, first: int) -> None:
        """Go back to an id: something there may have come free."""
        self._lowered = True
        self.frontier = min(self.frontier, first)
        self.passed = {key: passed for key, passed in self.passed.items() if passed < first}

    def settled(self, key: int) -> None:
        """Go back for what was passed over of a key: an event that may have held it is settled."""
        first = self.passed.get(key)
        if first is None:
            self._came_free.add(key)
        else:
            self.lower(first)

    def reset(self) -> None:
        """Forget everything; the next scan is of the whole table."""
        self.frontier = 0
        self.look = self._least_look
        self.passed.clear()
        self.resting_tenants.clear()

    def _remember(self, scan: Scan) -> int:
        """Note what was passed over; return the id up to which all of it is noted."""
        self._let_tenants_rest(scan.passed)
        for row in scan.passed:
            if row.key is None or row.tenant_id in self.resting_tenants:
                continue
            if row.key not in self.passed and len(self.passed) >= _MOST_PASSED_KEYS:
                return row.first - 1
            self.passed[row.key] = min(row.first, self.passed.get(row.key, row.first))
        if not scan.complete and scan.passed:
            return min(scan.frontier, scan.passed[-1].first)
        return scan.frontier

    def _let_tenants_rest(self, passed: list[Passed]) -> None:
        """Hold a tenant as a whole once too many of its aggregates wait for resting routes to name each."""
        resting: dict[str, list[int]] = {}
        for row in passed:
            if row.rests and row.key is not None:
                resting.setdefault(row.tenant_id, []).append(row.key)
        for tenant, keys in resting.items():
            if len(keys) > _MOST_KEYS_OF_A_TENANT:
                self.resting_tenants.add(tenant)
                for key in keys:
                    self.passed.pop(key, None)

    def _widen(self, *, stuck: bool, hardly: bool) -> None:
        if stuck or hardly:
            most = _LONGEST_LOOK if stuck else self._least_look * 40
            self.look = min(max(self.look, min(self.look * 4, most)), _LONGEST_LOOK)
        else:
            self.look = self._least_look


@dataclass(slots=True)
class Leases:
    """The leases that a relay knows of. Tokens only grow, so what it has not seen is newer than what it has.

    Args:
        own: its own, from claim to settlement.
        foreign: those of others, as the last claim found them.
        abandoned: those of its own whose outcomes could not be written; they hold like those of others.
        seen_to: the newest token known.
    """

    own: set[UUID] = field(default_factory=set)
    foreign: list[UUID] = field(default_factory=list)
    abandoned: set[UUID] = field(default_factory=set)
    seen_to: UUID = _NO_LEASE

    @property
    def holding(self) -> list[UUID]:
        """The known leases whose events hold back their aggregates."""
        return [*self.foreign, *self.abandoned]

    def saw(self, token: UUID | None, foreign: list[UUID]) -> None:
        """Take in what a claim found: the token it was given, if any, and those of others."""
        self.foreign = foreign
        if token is not None:
            self.own.add(token)
            self.seen_to = max(self.seen_to, token)
        self.seen_to = max([self.seen_to, *foreign])

    def settled(self, token: UUID, *, written: bool) -> None:
        """Let go of an own lease; when its outcomes could not be written, its events are still under it."""
        self.own.discard(token)
        if not written:
            self.abandoned.add(token)

    def forget_foreign(self) -> None:
        """Look at every lease again at the next claim."""
        self.foreign = []
        self.abandoned.clear()
        self.seen_to = _NO_LEASE
