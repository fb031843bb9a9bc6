"""What writers did, written down by themselves: the other half of every account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbox_notify import Event


@dataclass
class Ledger:
    """What was attempted, and how it ended; shared by the threads of all writers.

    Args:
        attempted: every event that may have been committed, by its id; entered before the commit.
        committed: ids whose commit was confirmed.
        rolled_back: ids whose transaction or savepoint was rolled back.
    """

    attempted: dict[str, Event] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    rolled_back: set[str] = field(default_factory=set)

    @property
    def unknown(self) -> set[str]:
        """Ids whose commit was never answered."""
        return self.attempted.keys() - self.committed - self.rolled_back

    def attempt(self, events: Mapping[str, Event]) -> None:
        """Note events that are about to be committed, or rolled back."""
        self.attempted.update(events)

    def commit(self, event_ids: set[str]) -> None:
        """Note a confirmed commit."""
        self.committed.update(event_ids)

    def roll_back(self, event_ids: set[str]) -> None:
        """Note a rollback."""
        self.rolled_back.update(event_ids)
