"""Reading a stream back."""

from __future__ import annotations

from typing import Any

import anyio
import nats

from benchmarks.peers.task import PREFIX, STREAM

_TIMEOUT = 60.0


def bodies(url: str, number: int) -> list[bytes]:
    """Return the bodies of the first messages of the stream, in the order of their sequence.

    Args:
        url: of the server.
        number: of messages, at most what the stream holds.
    """
    return anyio.run(_bodies, url, number) if number else []


async def _bodies(url: str, number: int) -> list[bytes]:
    read: list[bytes] = []
    complete = anyio.Event()

    async def receive(message: Any) -> None:
        read.append(message.data)
        if len(read) >= number:
            complete.set()

    async with await nats.connect(url) as client:
        await client.jetstream().subscribe(f"{PREFIX}.>", stream=STREAM, ordered_consumer=True, cb=receive)
        with anyio.fail_after(_TIMEOUT):
            await complete.wait()
    return read[:number]
