"""An event as the outbox holds it, and how it differs from what a test expects. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypedDict
from uuid import UUID

from outbox_notify.testing.matching import differences, shown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class EmittedEvent:
    """One row of the outbox, as its writer filled it.

    Args:
        aggregate: type and id; None without.
        payload: the JSON body, read; None when the body is bytes.
        payload_bytes: the body when it is bytes.
        available_at: for an event with a schedule; None when it was due at once.
    """

    event_id: UUID
    tenant_id: str
    event_type: str
    aggregate: tuple[str, str] | None
    payload: Any
    payload_bytes: bytes | None
    content_type: str
    headers: Mapping[str, str]
    available_at: datetime | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the event of one row of `sql/testing_emitted.sql`."""
        row = json.loads(text)
        in_hex, due, kind = row["payload_hex"], row["available_at"], row["aggregate_type"]
        return cls(
            event_id=UUID(row["event_id"]),
            tenant_id=row["tenant_id"],
            event_type=row["event_type"],
            aggregate=None if kind is None else (kind, row["aggregate_id"]),
            payload=row["payload"],
            payload_bytes=None if in_hex is None else bytes.fromhex(in_hex),
            content_type=row["content_type"],
            headers=row["headers"],
            available_at=None if due is None else datetime.fromisoformat(due),
        )

    @property
    def body(self) -> Any:
        """The payload, of whichever kind it is."""
        return self.payload if self.payload_bytes is None else self.payload_bytes

    def __str__(self) -> str:
        about = "" if self.aggregate is None else f" about {self.aggregate[0]} {self.aggregate[1]!r}"
        return f"{self.event_type} of tenant {self.tenant_id!r}{about}: {shown(self.body)}"


class Expected(TypedDict, total=False):
    """What an event must be, of what is given."""

    tenant_id: str
    aggregate: tuple[str, str] | None
    payload: object
    headers: Mapping[str, object]


def check_names(expected: Expected) -> None:
    """Raise TypeError for what no event has: misspelt, it would be true of every event, or of none."""
    for name in expected.keys() - Expected.__annotations__.keys():
        raise TypeError(f"an event has no {name!r} to expect: {', '.join(Expected.__annotations__)}")


def how_it_differs(event: EmittedEvent, event_type: str | None, expected: Expected) -> list[str]:
    """Return one line for each thing that is not as expected; an event of another type is not looked into."""
    if event_type not in {None, event.event_type}:
        return [f"event_type is {event.event_type!r}, not {event_type!r}"]
    found = {**vars(event), "payload": event.body}
    return [line for name, value in expected.items() for line in differences(value, found[name], name)]
