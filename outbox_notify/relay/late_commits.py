"""Who may still commit an id below the frontier.

An id is drawn when its row is inserted, and seen when its transaction commits: in between, others draw and commit
higher ones. A trigger gives every writer its transaction id before it draws its first row id. A claim gets its own
after it has looked. So a transaction whose id is above that of a claim draws only row ids above all that this claim
saw, and the others are known one by one: a snapshot lists who runs, below its horizon.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transactions:
    """What a claim knows of the transactions around it.

    Args:
        running: those below the horizon that had not ended.
        horizon: from here on none had ended, and nobody can tell which of them ran.
        own: that of the claim, begun when it had looked.
    """

    running: list[int]
    horizon: int
    own: int


class LateCommits:
    """For each transaction that may have drawn ids that a claim did not see: the lowest of them. No I/O."""

    def __init__(self) -> None:
        self.running: dict[int, int] = {}
        self.unlisted_from: int | None = None
        self._looks: deque[tuple[int, int]] = deque()

    def passed(self, transactions: Transactions, next_id: int) -> None:
        """Take in a claim that left nothing unseen below an id, but what these transactions have drawn."""
        self.running = {
            writer: self.running.get(writer, self._drawn_from(writer)) for writer in transactions.running
        }
        all_listed = transactions.own == transactions.horizon
        self.unlisted_from = None if all_listed else self._drawn_from(transactions.horizon)
        highest = self._looks[-1][1] if self._looks else 0
        self._looks.append((transactions.own, max(next_id, highest)))
        while len(self._looks) > 1 and self._looks[1][0] < transactions.horizon:
            self._looks.popleft()

    def _drawn_from(self, transaction: int) -> int:
        """Return the lowest id that a transaction, new to us, may have drawn: above what older claims saw."""
        first = 0
        for own, next_id in self._looks:
            if own >= transaction:
                break
            first = next_id
        return first
