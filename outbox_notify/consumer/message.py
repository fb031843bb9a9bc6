"""An event as a handler gets it. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reject(Exception):
    """Raised by a handler: this message can never be handled, so it is not tried again.

    Args:
        reason: for the log and for `on_rejected`; nothing of the body belongs in there.
    """


@dataclass(frozen=True)
class Message:
    """One delivery of an event.

    What is missing or malformed raises `Reject` when it is asked for: such a message is none of the relay's.

    Args:
        subject: where it was published.
        headers: all of them; those of CloudEvents (`ce-*`) are decoded.
        body: as it was published.
        sequence: its place in the stream, from 1; a replay has another one.
        deliveries: which attempt this is, from 1; a crash or a stop in the middle counts too.
    """

    subject: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    sequence: int
    deliveries: int

    @property
    def event_id(self) -> UUID:
        """The header `ce-id`: the same in every repeat and every replay, so it is the key of the inbox."""
        try:
            return UUID(self._header("ce-id"))
        except ValueError:
            raise Reject("its ce-id is not a UUID") from None

    @property
    def tenant_id(self) -> str:
        """The tenant that wrote it."""
        return self._header("ce-tenantid")

    @property
    def type(self) -> str:
        """What happened, such as `goods.received`."""
        return self._header("ce-type")

    @property
    def time(self) -> datetime:
        """When it was written, by the clock of the writer's database."""
        try:
            return datetime.fromisoformat(self._header("ce-time"))
        except ValueError:
            raise Reject("its ce-time is not a time") from None

    @property
    def aggregate_type(self) -> str | None:
        """What kind of thing it is about, if anything."""
        return self._partition_key[0] or None

    @property
    def aggregate_id(self) -> str | None:
        """Which one it is about."""
        return self._partition_key[2] or None

    @property
    def content_type(self) -> str:
        """How the body is written."""
        return self.headers.get("Content-Type", "application/json")

    @property
    def replay(self) -> str | None:
        """The id of the replay that has sent it once more; None the first time."""
        return self.headers.get("Outbox-Replay")

    def json(self) -> Any:
        """Return the body, read as JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Reject("its body is not JSON") from None

    @property
    def _partition_key(self) -> tuple[str, str, str]:
        # The type is one token, so the first slash is ours.
        return self.headers.get("ce-partitionkey", "").partition("/")

    def _header(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise Reject(f"it has no header {name}")
        return value


def decoded(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers with those of CloudEvents decoded: they are percent-encoded, as its HTTP binding says."""
    return {
        name: unquote(value) if name.startswith("ce-") else value for name, value in (headers or {}).items()
    }
