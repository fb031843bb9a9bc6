"""The demo's consumer: follows the stream as it grows, and reads it back from its first message."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import anyio
import nats
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from outbox_notify.demo.account import Message
from outbox_notify.demo.stage import STREAM, SUBJECTS
from outbox_notify.errors import NatsUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_TIMEOUT = 10.0


class StreamReader:
    """A consumer of the demo's stream.

    Args:
        client: a connected client of nats-py.
    """

    def __init__(self, client: Any) -> None:
        self._stream = client.jetstream(timeout=_TIMEOUT)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        """Connect for the time of the context.

        Raises:
            NatsUnreachable: the connection failed or broke.
        """
        try:
            client = await nats.connect(url, error_cb=_ignore, allow_reconnect=False)
            try:
                yield cls(client)
            finally:
                await client.close()
        except (NatsError, OSError) as error:
            raise NatsUnreachable(
                f"the embedded NATS does not answer: {type(error).__name__} {error}"
            ) from error

    async def stream_exists(self) -> bool:
        """Return whether the relay has created the stream."""
        try:
            await self._stream.stream_info(STREAM)
        except NotFoundError:
            return False
        return True

    async def follow(self, on_message: Callable[[Message], None]) -> None:
        """Hand over every message from the first on, as it arrives; returns at once."""

        async def receive(message: Any) -> None:
            on_message(_read(message))

        await self._stream.subscribe(SUBJECTS, stream=STREAM, ordered_consumer=True, cb=receive)

    async def read_all(self) -> list[Message]:
        """Return what the stream holds now, from its first message on, in the order of its sequence."""
        held = (await self._stream.stream_info(STREAM)).state.messages
        subscription = await self._stream.subscribe(SUBJECTS, stream=STREAM, ordered_consumer=True)
        received = [await subscription.next_msg(timeout=_TIMEOUT) for _ in range(held)]
        received.sort(key=lambda message: message.metadata.sequence.stream)
        return [_read(message) for message in received]


async def _ignore(_error: Exception) -> None:
    """Take the place of nats-py's own callback, which prints tracebacks; failures reach us as exceptions."""
    await anyio.lowlevel.checkpoint()


def _read(message: Any) -> Message:
    return Message((message.headers or {}).get("Nats-Msg-Id", ""), message.subject, message.data)
