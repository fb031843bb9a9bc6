"""What `emit` runs, whatever library runs it: the ids, the statements and their parameters. No driver."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from outbox_notify.events import Event
from outbox_notify.writers.ids import new_event_id
from outbox_notify.writers.trace_context import current_trace, headers_with

if TYPE_CHECKING:
    from collections.abc import Sequence

# The first of the two int keys of an aggregate's lock: "outk" in ASCII, next to the wake lock's "outb".
AGGREGATE_LOCK_CLASS = 0x6F75746B
NEEDS_TRANSACTION = "serialize=True needs a transaction: its locks would be gone before the INSERT"


class Statement(NamedTuple):
    """A statement to run.

    Args:
        name: of its file in `sql/`.
        parameters: by their names there.
    """

    name: str
    parameters: dict[str, object]


class Writing(NamedTuple):
    """Events about to be written.

    Args:
        event_ids: in the order of the events.
        statements: to be run one after the other; what they answer means nothing.
    """

    event_ids: list[UUID]
    statements: list[Statement]


def writing(events: Sequence[Event], *, serialize: bool) -> Writing:
    """Return what writes the events: one INSERT, and before it the locks of those who serialize.

    Raises:
        TypeError: not an `Event`.
    """
    event_ids = [_event_id(event) for event in events]
    # Where no id was given there is no repeat, and whatever is in the way has to be heard of.
    name = "emit" if all(event.event_id is None for event in events) else "emit_once"
    statements = [Statement(name, _insert_parameters(events, event_ids))]
    if serialize:
        statements.insert(0, Statement("serialize", _lock_parameters(events)))
    return Writing(event_ids, statements)


def _event_id(event: object) -> UUID:
    if not isinstance(event, Event):
        raise TypeError(f"events must be outbox_notify.Event, not {type(event).__qualname__}")
    return event.event_id if isinstance(event.event_id, UUID) else new_event_id()


def _insert_parameters(events: Sequence[Event], event_ids: Sequence[UUID]) -> dict[str, object]:
    trace = current_trace()
    rows = [_row(event, event_id, trace) for event, event_id in zip(events, event_ids, strict=True)]
    bodies = [event.payload_bytes for event in events]
    return {
        "events": f"[{','.join(rows)}]",
        "bodies": bodies if any(body is not None for body in bodies) else None,
    }


def _row(event: Event, event_id: UUID, trace: dict[str, str]) -> str:
    """Return one event as a JSON object; payload and headers are JSON texts already and go in as they are."""
    fields = {
        "event_id": str(event_id),
        "tenant_id": event.tenant_id,
        "event_type": event.event_type,
        "aggregate_type": event.aggregate_type,
        "aggregate_id": event.aggregate_id,
        "content_type": event.content_type,
        "available_at": event.available_at and event.available_at.isoformat(),
    }
    opened = json.dumps(fields, ensure_ascii=False).removesuffix("}")
    return f'{opened}, "headers": {headers_with(event, trace)}, "payload": {event.payload_json or "null"}}}'


def _lock_parameters(events: Sequence[Event]) -> dict[str, object]:
    aggregates = [
        {
            "tenant_id": event.tenant_id,
            "aggregate_type": event.aggregate_type,
            "aggregate_id": event.aggregate_id,
        }
        for event in events
        if event.aggregate_id is not None
    ]
    return {"aggregates": json.dumps(aggregates, ensure_ascii=False), "lock_class": AGGREGATE_LOCK_CLASS}
