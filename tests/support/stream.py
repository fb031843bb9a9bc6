"""Reading JetStream as a consumer does: what a stream holds, and what passes on the wire."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
from anyio.from_thread import start_blocking_portal
from nats.js.errors import NotFoundError

from outbox_notify.testing import StreamMessage, read_stream
from outbox_notify.testing.stream import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Spy",
    "StreamMessage",
    "connected",
    "create_stream",
    "jetstream_api",
    "listen",
    "read_stream",
    "spying",
    "stored",
    "stream_exists",
    "update_stream",
    "wait_for_stored",
]

_TIMEOUT = 10.0


def stored(url: str, stream: str = "OUTBOX") -> int:
    """Return how many messages the stream holds; 0 when there is no such stream."""
    info = anyio.run(_info, url, stream)
    return int(info.state.messages) if info else 0


def stream_exists(url: str, stream: str = "OUTBOX") -> bool:
    """Return whether there is such a stream."""
    return anyio.run(_info, url, stream) is not None


def jetstream_api(url: str, subject: str, **request: Any) -> dict[str, Any]:
    """Ask JetStream's API, for example `STREAM.CREATE.OUTBOX`, and return its answer; fails when it refuses."""
    return anyio.run(_api, url, subject, request)


def create_stream(url: str, *subjects: str, name: str = "OUTBOX", **config: Any) -> None:
    """Create a stream with the field names of the server's configuration."""
    jetstream_api(url, f"STREAM.CREATE.{name}", name=name, subjects=subjects, **config)


def update_stream(url: str, name: str = "OUTBOX", **changes: Any) -> None:
    """Change the configuration of a stream."""
    config = jetstream_api(url, f"STREAM.INFO.{name}")["config"]
    jetstream_api(url, f"STREAM.UPDATE.{name}", **{**config, **changes})


def wait_for_stored(url: str, count: int, timeout: float = 30, stream: str = "OUTBOX") -> None:
    """Return once the stream holds `count` messages; fail with what it holds after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (held := stored(url, stream)) < count:
        assert time.monotonic() < deadline, f"the stream holds {held} of {count} after {timeout:g} s"
        time.sleep(0.02)


@dataclass
class Spy:
    """Everything that is published under a subject, also what no stream keeps: message ids with their time.

    Args:
        heard: event id, subject and monotonic time of arrival.
    """

    heard: list[tuple[str, str, float]] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        """The subjects, in the order of arrival."""
        return [subject for _, subject, _ in self.heard]

    def times(self, event_id: str) -> list[float]:
        """Return when each copy of an event passed."""
        return [when for heard_id, _, when in self.heard if heard_id == event_id]


@contextmanager
def spying(url: str, subject: str = "events.>") -> Iterator[Spy]:
    """Listen on the wire, in a thread of its own, for the time of the context."""
    spy = Spy()

    async def hear(msg: Any) -> None:
        spy.heard.append(((msg.headers or {}).get("Nats-Msg-Id", ""), msg.subject, time.monotonic()))

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected(url)) as client:
        portal.call(listen, client, subject, hear)
        yield spy


async def listen(client: Any, subject: str, callback: Any) -> None:
    """Subscribe, and return when the server knows."""
    await client.subscribe(subject, cb=callback)
    # The ping of the first flush overtakes the subscription on its way out; that of the second comes after it.
    await client.flush()
    await client.flush()


async def _info(url: str, stream: str) -> Any:
    async with connected(url) as client:
        try:
            return await client.jetstream(timeout=_TIMEOUT).stream_info(stream)
        except NotFoundError:
            return None


async def _api(url: str, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    async with connected(url) as client:
        answer = await client.request(f"$JS.API.{subject}", json.dumps(request).encode(), timeout=_TIMEOUT)
        content: dict[str, Any] = json.loads(answer.data)
        assert "error" not in content, content["error"]
        return content
