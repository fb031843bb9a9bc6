"""A server that ends the connection in the middle of getting to know each other: an outage, never the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.publishing import publishing

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

INFO = {"server_id": "x", "version": "2.15.1", "headers": True, "max_payload": 2**20, "proto": 1}
NO_STREAMS = json.dumps({"streams": [], "total": 0}).encode()
ODD_REFUSAL = json.dumps(
    {"error": {"code": 400, "err_code": 10052, "description": "no", "hint": "x"}}
).encode()


class HangsUp:
    """Shakes hands, answers so many requests, and hangs up.

    Args:
        answers: bodies, one a request.
    """

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.calls = 0
        self.talks: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        self.calls += 1
        self.talks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await self._talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = list(self._answers)
        writer.write(f"INFO {json.dumps(INFO)}\r\n".encode())
        while data := await reader.read(65536):
            writer.write(b"PONG\r\n" * data.count(b"PING\r\n"))
            for inbox in re.findall(rb"PUB \$JS\S+ (\S+) \d+\r\n", data):
                if answers:
                    body = answers.pop(0)
                    writer.write(b"MSG %b 1 %d\r\n%b\r\n" % (inbox, len(body), body))
                if not answers:
                    return


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(HangsUp, marks=pytest.mark.slow),
        lambda: HangsUp(NO_STREAMS),
        lambda: HangsUp(ODD_REFUSAL),
        lambda: HangsUp(b"not JSON"),
    ],
    ids=["at the first request", "after an answer", "after a refusal with a new field", "after noise"],
)
async def test_publisher_outlives_it_and_calls_again(server: Callable[[], HangsUp]) -> None:
    hangs_up = server()
    async with await asyncio.start_server(hangs_up.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with publishing(f"nats://127.0.0.1:{port}") as desk:
            await desk.until(lambda: hangs_up.calls >= 2, "another call")
            assert str(desk.publisher.outage).startswith(("JetStream does not answer", "unexpected EOF"))
            assert not desk.publisher.ready
        await asyncio.gather(*filter(None, hangs_up.talks))
