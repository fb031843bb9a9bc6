"""PostgreSQL and NATS together, as `status` and HTTP show them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outbox_notify.errors import OutboxError
from outbox_notify.operations.status import Status, document, read_status

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.inspection import NatsFacts
    from outbox_notify.jetstream.stream_facts import StreamFacts


@dataclass(frozen=True)
class Overall:
    """What both tell; in the place of NATS, why it could not be asked."""

    status: Status
    nats: NatsFacts | str

    def document(self) -> dict[str, Any]:
        """Return it as JSON's values: a documented contract of `status --json` and of HTTP's `/status`."""
        return {**document(self.status), "nats": _document(self.nats)}


def read_overall(conn: psycopg.Connection, settings: Settings, *, timeout: float = 10) -> Overall:
    """Look at PostgreSQL and at NATS; that NATS is away is a fact like others.

    Args:
        conn: in autocommit mode.
        settings: schema, and how to reach NATS.
        timeout: seconds that any part of the look at PostgreSQL may take.

    Raises:
        OutboxError: PostgreSQL does not tell.
    """
    # Side by side: NATS may take its two seconds, and its library takes a while to load.
    with ThreadPoolExecutor(max_workers=1) as aside:
        nats = aside.submit(_nats, settings)
        status = read_status(conn, settings.schema, timeout=timeout)
        return Overall(status, nats.result())


def _nats(settings: Settings) -> NatsFacts | str:
    from outbox_notify.jetstream.inspection import glance  # noqa: PLC0415  # loaded while PostgreSQL counts

    try:
        return glance(settings)
    except OutboxError as error:
        return str(error)


def _document(nats: NatsFacts | str) -> dict[str, Any]:
    if isinstance(nats, str):
        return {"reachable": False, "reason": nats}
    return {
        "reachable": True,
        "server_version": nats.server.version,
        "streams": [_stream(stream) for stream in nats.taking],
    }


def _stream(stream: StreamFacts) -> dict[str, Any]:
    return {
        "name": stream.name,
        "messages": stream.messages,
        "bytes": stream.bytes,
        "max_messages": _limit(stream.max_messages),
        "max_bytes": _limit(stream.max_bytes),
        "max_age_seconds": _limit(stream.max_age),
        "duplicate_window_seconds": stream.duplicate_window,
        "replicas": stream.replicas,
    }


def _limit(value: float) -> float | None:
    return value if value > 0 else None
