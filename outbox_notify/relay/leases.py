"""Whose claims are out, as far as a relay knows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

_NO_LEASE = UUID(int=0)
# Linux stops its monotonic clock while the machine sleeps; elsewhere, where this one is missing, that goes on.
_NEVER_STOPS: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def lease_clock() -> float:
    """Return the seconds of a steady clock that goes on while the machine sleeps, as the database's clock does."""
    return time.clock_gettime(_NEVER_STOPS)


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
