"""The account after a fault, on sets, after Jepsen: what was committed against what the stream holds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from outbox_notify.testing.order import overtaken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox_notify import Event
    from outbox_notify.testing import StreamMessage
    from tests.support.ledger import Ledger
    from tests.support.outbox import Row


@dataclass(frozen=True)
class Verdict:
    """What went wrong, by message or event id; all of it is empty when all is well.

    Args:
        lost: committed, neither in the stream nor failed.
        phantom: in the stream, but rolled back, never written, or gone from the table.
        duplicates: more than once in the stream.
        out_of_order: first copies that come after a later event of their aggregate.
        altered: subject, body or headers are not what was written.
        unfinished: still pending or in progress.
        unproven: marked published, but not in the stream.
        counted: with failed attempts.
        failed: given up on.
    """

    lost: list[str]
    phantom: list[str]
    duplicates: list[str]
    out_of_order: list[str]
    altered: list[str]
    unfinished: list[str]
    unproven: list[str]
    counted: list[str]
    failed: list[str]

    @property
    def problems(self) -> dict[str, int]:
        """How many of each kind there are, of those that there are."""
        found = {item.name: len(getattr(self, item.name)) for item in fields(self)}
        return {name: count for name, count in found.items() if count}


def check(ledger: Ledger, rows: Sequence[Row], stream: Sequence[StreamMessage]) -> Verdict:
    """Compare what writers wrote with what the stream holds and what the table says.

    Args:
        ledger: of all writers.
        rows: all of the table; a commit that was never answered counts when its row is there.
        stream: every message, from sequence 1 on.
    """
    copies = Counter(message.event_id for message in stream)
    committed = ledger.committed | {row.event_id for row in rows}
    failed = {row.event_id for row in rows if row.status == "failed"}
    return Verdict(
        lost=sorted(committed - copies.keys() - failed),
        phantom=sorted(
            copies.keys() & ledger.rolled_back
            | copies.keys() - ledger.attempted.keys()
            | copies.keys() - committed
        ),
        duplicates=[event_id for event_id, count in copies.items() if count > 1],
        out_of_order=out_of_order(rows, stream),
        altered=[message.event_id for message in stream if not _faithful(message, ledger)],
        unfinished=[row.event_id for row in rows if row.status in {"pending", "in_progress"}],
        unproven=[row.event_id for row in rows if row.status == "published" and row.event_id not in copies],
        counted=[row.event_id for row in rows if row.attempts],
        failed=sorted(failed),
    )


def out_of_order(rows: Sequence[Row], stream: Sequence[StreamMessage]) -> list[str]:
    """Return first copies that come after a later event of their aggregate, by the order of `id`."""
    written = {row.event_id: (row.ordering_key, row.id) for row in rows if row.ordering_key is not None}
    return overtaken((message.event_id for message in stream), written)


def _faithful(message: StreamMessage, ledger: Ledger) -> bool:
    event = ledger.attempted.get(message.event_id)
    return event is None or (
        message.subject.endswith(f".{event.tenant_id}.{event.event_type}")
        and _same_body(message, event)
        and event.headers.items() <= message.headers.items()
    )


def _same_body(message: StreamMessage, event: Event) -> bool:
    if event.payload_bytes is not None:
        return message.body == event.payload_bytes
    return event.payload_json is not None and message.json == json.loads(event.payload_json)
