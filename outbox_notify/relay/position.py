"""A place in the table from which to scan on, and the memory of what was left behind on the way there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbox_notify.relay.late_commits import Transactions

MOST_PASSED_KEYS = 4096
_MOST_KEYS_OF_A_TENANT = 256


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


@dataclass(slots=True)
class Position:
    """A place in the table, and what was passed over on the way there.

    Args:
        next: everything below was taken, or passed over and noted.
        look: how many rows the next scan from here looks at.
        passed: keys whose events were passed over, with the first id of each.
        resting_tenants: tenants with too many resting aggregates to name each.
    """

    next: int
    look: int
    passed: dict[int, int] = field(default_factory=dict)
    resting_tenants: set[str] = field(default_factory=set)

    def lower(self, first: int) -> None:
        """Go back to an id; what was passed over from there on will be met again."""
        if first < self.next:
            self.next = first
            self.passed = {key: passed for key, passed in self.passed.items() if passed < first}

    def note(self, key: int, first: int) -> None:
        """Remember that events of a key, from an id on, were passed over."""
        self.passed[key] = min(first, self.passed.get(key, first))

    def remember(self, scan: Scan) -> int:
        """Note what a scan passed over; return the id up to which all of it is noted."""
        self._let_tenants_rest(scan.passed)
        for row in scan.passed:
            if row.key is None or row.tenant_id in self.resting_tenants:
                continue
            if row.key not in self.passed and len(self.passed) >= MOST_PASSED_KEYS:
                return row.first - 1
            self.note(row.key, row.first)
        if not scan.complete and scan.passed:
            return min(scan.frontier, scan.passed[-1].first)
        return scan.frontier

    def _let_tenants_rest(self, passed: list[Passed]) -> None:
        resting: dict[str, list[int]] = {}
        for row in passed:
            if row.rests and row.key is not None:
                resting.setdefault(row.tenant_id, []).append(row.key)
        for tenant, keys in resting.items():
            if len(keys) > _MOST_KEYS_OF_A_TENANT:
                self.resting_tenants.add(tenant)
                for key in keys:
                    self.passed.pop(key, None)
