"""The event as a writer states it, and the rules its values must keep. No I/O.

The rules are those of the table: the database refuses the same values with a check violation, but only
after a round trip and at the price of the caller's transaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from outbox_notify.errors import InvalidEvent
from outbox_notify.subjects import EVENT_TYPE_RULE, TOKEN_RULE, valid_event_type, valid_token

MAX_AGGREGATE_ID_LENGTH = 255
MAX_CONTENT_TYPE_LENGTH = 255
MAX_HEADER_NAME_LENGTH = 64
MAX_HEADERS_BYTES = 32_768

# Unicode's control characters (Cc), and the lone surrogates that UTF-8 cannot carry.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PRINTABLE_ASCII = re.compile(r"[ -~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_RESERVED_HEADER = re.compile(r"nats-.*|ce-.*|status|description|content-type", re.IGNORECASE | re.ASCII)
# A NUL inside a JSON string; an even number of backslashes before it would make it plain text.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Event:
    """One event to publish; checked when made, so an `Event` that exists can be written.

    Args:
        tenant_id: one subject token, `[A-Za-z0-9_-]{1,64}`.
        event_type: 1 to 8 such tokens joined by dots, 255 characters at most.
        payload: the body as JSON: whatever `json.dumps` takes, but no NaN and no NUL. None means no payload.
        payload_bytes: a body to send byte for byte; exactly one of the two must be given.
        content_type: 1 to 255 printable ASCII characters.
        aggregate_type: what kind of thing the event is about, one token; given together with its id.
        aggregate_id: which one, 1 to 255 characters. Events of one aggregate keep their order.
        headers: extra message headers, 32 KB at most as JSON; `Nats-*`, `ce-*`, `Status`, `Description` and
            `Content-Type` are taken.
        available_at: not before this time; must have a time zone. None means at once.
        event_id: the message id, for writers that repeat themselves; None lets `emit` make one.

    Raises:
        InvalidEvent: a value breaks its rule. What a payload, a header or a body holds is never in the text.
    """

    tenant_id: str
    event_type: str
    payload: object = field(default=None, repr=False)
    payload_bytes: bytes | None = field(default=None, repr=False, kw_only=True)
    content_type: str = field(default="application/json", kw_only=True)
    aggregate_type: str | None = field(default=None, kw_only=True)
    aggregate_id: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    available_at: datetime | None = field(default=None, kw_only=True)
    event_id: UUID | str | None = field(default=None, kw_only=True)

    # The texts that were checked are the ones that are written, whatever happens to the objects meanwhile.
    payload_json: str | None = field(init=False, repr=False, compare=False)
    headers_json: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keep = partial(object.__setattr__, self)
        keep("tenant_id", _text("tenant_id", self.tenant_id))
        keep("event_type", _text("event_type", self.event_type))
        keep("content_type", _text("content_type", self.content_type))
        _check_aggregate(self.aggregate_type, self.aggregate_id)
        if self.aggregate_type is not None:
            keep("aggregate_type", _text("aggregate_type", self.aggregate_type))
            keep("aggregate_id", _text("aggregate_id", self.aggregate_id))
        _check_body(self.payload, self.payload_bytes)
        keep("payload_json", None if self.payload is None else _payload_json(self.payload))
        keep("headers", _headers(self.headers))
        keep("headers_json", _headers_json(self.headers))
        keep("available_at", _available_at(self.available_at))
        keep("event_id", _event_id(self.event_id))


def _valid_aggregate_id(text: str) -> bool:
    return 1 <= len(text) <= MAX_AGGREGATE_ID_LENGTH and not _UNPRINTABLE.search(text)


def _valid_content_type(text: str) -> bool:
    return len(text) <= MAX_CONTENT_TYPE_LENGTH and _PRINTABLE_ASCII.fullmatch(text) is not None


_TEXT_RULES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "tenant_id": (valid_token, TOKEN_RULE),
    "event_type": (valid_event_type, EVENT_TYPE_RULE),
    "aggregate_type": (valid_token, TOKEN_RULE),
    "aggregate_id": (_valid_aggregate_id, "must be 1 to 255 characters, none of them a control character"),
    "content_type": (_valid_content_type, "must be 1 to 255 printable ASCII characters"),
}


def _text(name: str, value: object) -> str:
    """Return a field's text as a plain `str`: drivers write the name of an enum member, not its text."""
    valid, rule = _TEXT_RULES[name]
    if not isinstance(value, str) or not valid(value):
        raise InvalidEvent(name, value, rule)
    return str.__str__(value)


def _check_aggregate(aggregate_type: str | None, aggregate_id: str | None) -> None:
    if aggregate_type is None and aggregate_id is not None:
        raise InvalidEvent("aggregate_type", None, "must be given together with aggregate_id")
    if aggregate_id is None and aggregate_type is not None:
        raise InvalidEvent("aggregate_id", None, "must be given together with aggregate_type")


def _check_body(payload: object, payload_bytes: object) -> None:
    if (payload is None) == (payload_bytes is None):
        shown = None if payload is None else type(payload)
        raise InvalidEvent("payload", shown, "exactly one of payload and payload_bytes must be given")
    if payload_bytes is not None and not isinstance(payload_bytes, bytes):
        raise InvalidEvent("payload_bytes", type(payload_bytes), "must be bytes")


def _payload_json(payload: object) -> str:
    """Return the payload as JSON that PostgreSQL can hold.

    The errors name its type only, and hide the error they come from, which may hold what must stay private.
    """
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent("payload", type(payload), "must not hold a lone surrogate") from None
    except RecursionError:
        raise InvalidEvent("payload", type(payload), "must not be nested that deep") from None
    except (TypeError, ValueError) as error:
        raise InvalidEvent("payload", type(payload), f"must be JSON: {error}") from None
    if _ESCAPED_NUL.search(text):
        raise InvalidEvent("payload", type(payload), "must not hold the character NUL")
    return text


def _headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise InvalidEvent("headers", type(headers), "must map names to strings")
    for name, value in headers.items():
        _check_header_name(name)
        if not isinstance(value, str) or _UNPRINTABLE.search(value):
            raise InvalidEvent("headers", name, "its value must be a string without control characters")
    return dict(headers)


def _check_header_name(name: object) -> None:
    if not isinstance(name, str) or len(name) > MAX_HEADER_NAME_LENGTH or not _HEADER_NAME.fullmatch(name):
        raise InvalidEvent("headers", name, "a name must be 1 to 64 characters out of A-Z a-z 0-9 -")
    if _RESERVED_HEADER.fullmatch(name):
        raise InvalidEvent("headers", name, "Nats-*, ce-*, Status, Description and Content-Type are taken")


def _headers_json(headers: Mapping[str, str]) -> str:
    """Return the headers as the database would print them, since that is what it measures."""
    text = json.dumps(headers, ensure_ascii=False)
    if len(text.encode()) > MAX_HEADERS_BYTES:
        raise InvalidEvent(
            "headers", f"{len(headers)} headers", f"must be {MAX_HEADERS_BYTES} bytes at most as JSON"
        )
    return text


def _available_at(time: object) -> datetime | None:
    """Return the time in UTC, where every database reads it alike."""
    if time is None:
        return None
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise InvalidEvent("available_at", time, "must be a datetime with a time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent("available_at", time, "must be between the years 1 and 9999 in UTC") from None


def _event_id(event_id: object) -> UUID | None:
    if event_id is None or isinstance(event_id, UUID):
        return event_id
    try:
        return UUID(event_id if isinstance(event_id, str) else "")
    except ValueError:
        raise InvalidEvent("event_id", event_id, "must be a UUID") from None
