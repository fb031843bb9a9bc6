"""Accounting for every event: what was committed against what the stream holds. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from outbox_notify.testing.order import overtaken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from outbox_notify.events import Event


@dataclass(frozen=True)
class Message:
    """One message of the stream, as far as the account needs it.

    Args:
        event_id: its `Nats-Msg-Id`.
        subject: its subject.
        body: its bytes.
    """

    event_id: str
    subject: str
    body: bytes


@dataclass
class Ledger:
    """What the writer has done, in the order of its commits.

    Args:
        committed_at: event id to the moment (monotonic seconds) just before its commit.
        aggregates: event id to the aggregate whose order it must keep.
        rolled_back: ids of events whose transaction was rolled back.
    """

    committed_at: dict[str, float] = field(default_factory=dict)
    aggregates: dict[str, tuple[str, str | None, str | None]] = field(default_factory=dict)
    rolled_back: set[str] = field(default_factory=set)

    def knows(self, event_id: str) -> bool:
        """Return whether the writer has written this event, committed or not."""
        return event_id in self.committed_at or event_id in self.rolled_back

    def committing(self, event_id: str, event: Event, now: float) -> None:
        """Note an event just before the commit of its transaction."""
        self.committed_at[event_id] = now
        self.aggregates[event_id] = (event.tenant_id, event.aggregate_type, event.aggregate_id)


@dataclass(frozen=True)
class Account:
    """The result of a demo; its fields are a contract with those who read `--json`.

    Args:
        events: committed by the writer.
        delivered: of these, in the stream.
        lost: of these, not in the stream.
        duplicates: messages beyond the first of their event.
        out_of_order: messages that come after a later one of their aggregate.
        p50_ms: commit to subscriber, half of the events were faster; None when nothing arrived.
        p99_ms: the same, 99 of 100 were faster.
    """

    events: int
    delivered: int
    lost: int
    duplicates: int
    out_of_order: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def balanced(self) -> bool:
        """Whether every event arrived once and in order."""
        return self.delivered == self.events and not (self.lost or self.duplicates or self.out_of_order)

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the fields by name."""
        return asdict(self)


def balance(ledger: Ledger, stream: Sequence[Message], latencies: Sequence[float]) -> Account:
    """Compare what was committed with what the stream holds.

    Args:
        ledger: of the writer.
        stream: every message from the first sequence on.
        latencies: seconds from commit to subscriber.
    """
    copies = Counter(message.event_id for message in stream)
    delivered = sum(1 for event_id in ledger.committed_at if event_id in copies)
    return Account(
        events=len(ledger.committed_at),
        delivered=delivered,
        lost=len(ledger.committed_at) - delivered,
        duplicates=len(stream) - len(copies),
        out_of_order=_out_of_order(ledger, dict.fromkeys(message.event_id for message in stream)),
        p50_ms=percentile_ms(latencies, 0.50),
        p99_ms=percentile_ms(latencies, 0.99),
    )


def never_committed(ledger: Ledger, stream: Sequence[Message]) -> list[str]:
    """Return ids of events that are in the stream although their transaction was rolled back."""
    return [message.event_id for message in stream if message.event_id in ledger.rolled_back]


def percentile_ms(seconds: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile in milliseconds, to two places; None without values."""
    if not seconds:
        return None
    rank = max(1, math.ceil(share * len(seconds)))
    return round(sorted(seconds)[rank - 1] * 1000, 2)


def _out_of_order(ledger: Ledger, arrived: Iterable[str]) -> int:
    """Count first copies that come after a later event of their aggregate."""
    written = {
        event_id: (ledger.aggregates[event_id], place) for place, event_id in enumerate(ledger.committed_at)
    }
    return len(overtaken(arrived, written))
