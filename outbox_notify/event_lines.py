"""Events as lines of JSON: one object a line, its keys the writer's columns of the table. No I/O."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from outbox_notify.errors import InvalidEvent, OutboxError
from outbox_notify.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS = (
    "tenant_id",
    "event_type",
    "payload",
    "payload_bytes",
    "content_type",
    "aggregate_type",
    "aggregate_id",
    "headers",
    "available_at",
    "event_id",
)


def read_events(lines: Iterable[bytes]) -> list[Event]:
    """Return the events of all lines that are not blank.

    Raises:
        OutboxError: a line holds no event; the text names its number and what is wrong, not what it holds.
    """
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events += [_event(read_json(line))] if line.strip() else []
        except ValueError as error:
            raise OutboxError(f"line {number}: {error}") from None
    return events


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none; the text says where, not what it holds.
    """
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def read_time(text: str) -> datetime:
    """Return the time of an ISO 8601 text with an offset.

    Raises:
        ValueError: it is none, or has no offset.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(
            "must be a time with its offset, such as 2026-01-31T09:00:00Z or 2026-01-31T09:00+01:00"
        )
    return time


def _event(fields: Any) -> Event:
    """Return the event of one object; null stands for what is not given, as in a row of the table."""
    if not isinstance(fields, dict):
        raise InvalidEvent("event", type(fields), "must be a JSON object")
    if strangers := fields.keys() - set(COLUMNS):
        raise ValueError(f"unknown {', '.join(sorted(strangers))}; there are {', '.join(COLUMNS)}")
    given = {name: value for name, value in fields.items() if value is not None}
    if "payload_bytes" in given:
        given["payload_bytes"] = _bytes(given["payload_bytes"])
    if "available_at" in given:
        given["available_at"] = _time(given["available_at"])
    return Event(**{"tenant_id": None, "event_type": None, **given})


def _bytes(text: object) -> bytes:
    """Return bytes written as PostgreSQL prints bytea in JSON: hex digits after a backslash and an x."""
    if not isinstance(text, str) or not text.startswith("\\x"):
        raise InvalidEvent("payload_bytes", type(text), r"must be hex digits after \x")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidEvent("payload_bytes", type(text), r"must be hex digits after \x") from None


def _time(text: object) -> datetime:
    try:
        return read_time(str(text))
    except ValueError as error:
        raise InvalidEvent("available_at", text, str(error)) from None
