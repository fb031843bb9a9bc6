"""The message of an event: subject, one header block, body. Built here, checked here, by nobody after."""

from __future__ import annotations

import json
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from outbox_notify.errors import InvalidEvent
from outbox_notify.subjects import EVENT_TYPE_RULE, TOKEN_RULE, subject_of, valid_event_type, valid_token

if TYPE_CHECKING:
    from outbox_notify.relay.claims import ClaimedEvent

# CloudEvents HTTP binding 1.0.2, section 3.1.3.2: printable ASCII but space, double quote and percent stays.
_CE_SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CE_PLAIN = re.compile(r"[!#$&-~]*")
# Line ends within the head of an event without aggregate and headers.
_LINES = 8
_RESERVED = re.compile(r"nats-|ce-|status$|description$|content-type$", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


class Message(NamedTuple):
    """What goes on the wire.

    Args:
        head: the NATS header block, from `NATS/1.0` to the empty line.
    """

    subject: str
    head: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Its bytes, header block and body together."""
        return len(self.head) + len(self.body)

    def frame(self, reply: str) -> bytes:
        """Return the HPUB frame that publishes it and asks for the ack on a subject."""
        line = f"HPUB {self.subject} {reply} {len(self.head)} {len(self.head) + len(self.body)}\r\n"
        return b"".join((line.encode(), self.head, self.body, b"\r\n"))


class Encoder:
    """Turns events into messages.

    Args:
        prefix: first tokens of every subject.
        source: value of `ce-source`.
        replay: id of the replay that sends events once more: JetStream must not take them for duplicates.
    """

    def __init__(self, prefix: str, source: str, replay: str | None = None) -> None:
        self._source = _percent(source)
        self._replay = replay
        self._subject = lru_cache(maxsize=4096)(partial(_checked_subject, prefix))

    def encode(self, event: ClaimedEvent, max_payload: int) -> Message:
        """Return the message of an event.

        Args:
            event: the claimed row.
            max_payload: what the server takes, header block and body together, bytes.

        Raises:
            InvalidEvent: it could hurt the connection or the stream, so it must not be sent.
        """
        if event.flaw is not None or event.body is None:
            raise InvalidEvent("row", event.id, f"it cannot be read: {event.flaw}")
        subject = self._subject(event.tenant_id, event.event_type)
        head = self._head(event)
        if len(head) + len(event.body) > max_payload:
            size = len(head) + len(event.body)
            raise InvalidEvent("payload", f"{size} bytes with headers", f"the server takes {max_payload}")
        return Message(subject, head, event.body)

    def _head(self, event: ClaimedEvent) -> bytes:
        message_id, ends, about, more = event.event_id, _LINES, "", ""
        if self._replay is not None:
            message_id += f";r={self._replay}"
            about, ends = f"Outbox-Replay: {self._replay}\r\n", ends + 1
        if event.aggregate_id is not None:
            aggregate = _percent(event.aggregate_id)
            about += f"ce-subject: {aggregate}\r\nce-partitionkey: {event.aggregate_type}/{aggregate}\r\n"
            ends += 2
        if event.headers is not None:
            lines = _row_headers(event.headers)
            more, ends = "".join(lines), ends + len(lines)
        # In one go: of all that is done for an event, this is done most often.
        text = (
            f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\nce-specversion: 1.0\r\nce-id: {event.event_id}\r\n"
            f"ce-type: {event.event_type}\r\nce-source: {self._source}\r\nce-time: {event.created_at}\r\n"
            f"ce-tenantid: {event.tenant_id}\r\n{about}Content-Type: {event.content_type}{more}"
        )
        if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
            raise InvalidEvent("headers", "a header", "no value may hold CR, LF or NUL")
        return (text + "\r\n\r\n").encode()


def _checked_subject(prefix: str, tenant_id: str, event_type: str) -> str:
    if not valid_token(tenant_id):
        raise InvalidEvent("tenant_id", tenant_id, TOKEN_RULE)
    if not valid_event_type(event_type):
        raise InvalidEvent("event_type", event_type, EVENT_TYPE_RULE)
    return subject_of(prefix, tenant_id, event_type)


def _percent(text: str) -> str:
    plain = (text.isalnum() and text.isascii()) or _CE_PLAIN.fullmatch(text)
    return text if plain else quote(text, safe=_CE_SAFE)


def _row_headers(headers: str) -> list[str]:
    lines = []
    for name, value in _pairs(headers).items():
        if not isinstance(value, str) or not _HEADER_NAME.fullmatch(name) or _RESERVED.match(name):
            raise InvalidEvent("headers", name, "must be an allowed name with a text")
        lines.append(f"\r\n{name}: {value}")
    return lines


def _pairs(headers: str) -> dict[str, Any]:
    """Read a row's headers, which Python may refuse though PostgreSQL took them: nesting, endless numbers."""
    try:
        pairs = json.loads(headers)
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, dict):
        raise InvalidEvent("headers", "the headers", "must be a JSON object of texts")
    return pairs
