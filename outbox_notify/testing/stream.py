"""Reading back what a stream holds."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio
import nats
from nats.js.errors import NotFoundError

from outbox_notify.errors import NatsUnreachable
from outbox_notify.testing.apart import run_apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

_TIMEOUT = 10.0


@dataclass(frozen=True)
class StreamMessage:
    """One message of a stream.

    Args:
        sequence: its place in the stream, from 1.
        stored_at: when the server stored it.
    """

    sequence: int
    subject: str
    headers: dict[str, str]
    body: bytes
    stored_at: datetime

    @property
    def event_id(self) -> str:
        """Its message id."""
        return self.headers.get("Nats-Msg-Id", "")

    @property
    def event_type(self) -> str:
        """Type of the event."""
        return self.headers.get("ce-type", "")

    @property
    def tenant_id(self) -> str:
        """Tenant of the event."""
        return self.headers.get("ce-tenantid", "")

    @property
    def partition_key(self) -> str | None:
        """Type and id of the aggregate as `type/id`; None without."""
        key = self.headers.get("ce-partitionkey")
        return None if key is None else unquote(key)

    @property
    def json(self) -> Any:
        """Its body, read as JSON."""
        return json.loads(self.body)


def read_stream(url: str, stream: str = "OUTBOX") -> list[StreamMessage]:
    """Return what the stream holds now, from sequence 1; nothing when there is no such stream.

    Args:
        url: of the nats-server; of several, parted by commas.
        stream: its name.

    Raises:
        NatsUnreachable: no server answers within 10 seconds.
    """
    return run_apart(stream_messages, url, stream)


def delete_streams(url: str) -> None:
    """Delete all streams of a nats-server."""
    run_apart(_delete_streams, url)


@asynccontextmanager
async def connected(url: str, within: float = _TIMEOUT) -> AsyncIterator[Any]:
    """Hold a client of nats-py open to one of the servers; when that goes, it comes back by itself.

    Raises:
        NatsUnreachable: none answers within so many seconds.
    """
    try:
        with anyio.fail_after(within):
            client = await nats.connect(
                url.split(","),
                error_cb=_ignore,
                reconnect_time_wait=0.1,
                max_reconnect_attempts=-1,
                connect_timeout=_TIMEOUT,
            )
    except TimeoutError:
        raise NatsUnreachable(f"NATS: no answer within {within:g} s") from None
    try:
        yield client
    finally:
        await client.close()


async def last_sequence(url: str, stream: str, within: float) -> int:
    """Return the sequence of the last message of a stream, 0 when there is none.

    Raises:
        NatsUnreachable: no server answers within so many seconds.
    """
    async with connected(url, within) as client:
        try:
            return int((await client.jetstream(timeout=_TIMEOUT).stream_info(stream)).state.last_seq)
        except NotFoundError:
            return 0


async def stream_messages(url: str, stream: str) -> list[StreamMessage]:
    """Do as `read_stream` does, in the loop of the caller."""
    async with connected(url) as client:
        jetstream = client.jetstream(timeout=_TIMEOUT)
        try:
            held = (await jetstream.stream_info(stream)).state.messages
        except NotFoundError:
            return []
        reader = await jetstream.subscribe(">", stream=stream, ordered_consumer=True)
        return [_message(await reader.next_msg(timeout=_TIMEOUT)) for _ in range(held)]


async def _delete_streams(url: str) -> None:
    async with connected(url) as client:
        jetstream = client.jetstream(timeout=_TIMEOUT)
        for found in await jetstream.streams_info():
            await jetstream.delete_stream(found.config.name)


def _message(msg: Any) -> StreamMessage:
    about = msg.metadata
    return StreamMessage(
        about.sequence.stream, msg.subject, dict(msg.headers or {}), msg.data, about.timestamp
    )


async def _ignore(_error: Exception) -> None:
    """Take the place of nats-py's own callback, which prints tracebacks."""
    await anyio.lowlevel.checkpoint()
