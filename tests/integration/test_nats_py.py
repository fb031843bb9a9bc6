"""What we use of nats-py without its leave: an upgrade that changes it fails here, and not in production."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from nats.aio.client import Client
from nats.js.manager import JetStreamManager

from outbox_notify.config.settings import Settings
from outbox_notify.jetstream.client import close_nats, connect_nats, write_frames
from outbox_notify.jetstream.messages import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

INFO = {"server_id": "x", "version": "2.14.0", "headers": True, "max_payload": 1_048_576, "proto": 1}


class Wire:
    """A server that takes everything, and keeps it."""

    def __init__(self) -> None:
        self.received = b""
        self.reading = asyncio.Event()
        self.reading.set()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"INFO {json.dumps(INFO)}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.received += data
                if data.endswith(b"PING\r\n"):
                    self.received = b""
                    writer.write(b"PONG\r\n")
                await self.reading.wait()
        writer.close()
        self.ended.set()


@asynccontextmanager
async def connected_to_wire() -> AsyncIterator[tuple[Client, Wire]]:
    wire = Wire()
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await connect_nats(Settings(nats_url=f"nats://127.0.0.1:{port}"), _ignore, _closed)
    try:
        yield client, wire
    finally:
        with anyio.fail_after(2):
            await close_nats(client)
        wire.reading.set()
        with anyio.fail_after(5):
            await wire.ended.wait()
        server.close()
        await server.wait_closed()


async def _ignore(_error: Exception) -> None:
    """Stand in for who hears of errors."""


async def _closed() -> None:
    """Stand in for who hears of the end."""


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (Client._send_command, ["self", "cmd", "priority"]),
        (Client._flush_pending, ["self", "force_flush"]),
        (JetStreamManager._api_request, ["self", "req_subject", "req", "timeout"]),
    ],
)
def test_private_functions_are_still_what_they_were(
    function: Callable[..., object], signature: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == signature
    assert inspect.iscoroutinefunction(function)


async def test_connected_client_has_a_queue_of_flushes() -> None:
    async with connected_to_wire() as (client, _):
        assert isinstance(client._flush_queue, asyncio.Queue)


async def test_frames_arrive_byte_for_byte_and_in_order() -> None:
    head = b"NATS/1.0\r\nNats-Msg-Id: 11\r\n\r\n"
    messages = [Message("events.acme.a", head, b"\x00\xff\r\n"), Message("events.acme.b", head, b"")]
    async with connected_to_wire() as (client, wire):
        await write_frames(client, [message.frame(f"inbox.{n}") for n, message in enumerate(messages)])
        await write_frames(client, [Message("events.acme.c", head, b"x" * 300_000).frame("inbox.2")])
        expected = (
            b"HPUB events.acme.a inbox.0 29 33\r\n" + head + b"\x00\xff\r\n\r\n"
            b"HPUB events.acme.b inbox.1 29 29\r\n" + head + b"\r\n"
            b"HPUB events.acme.c inbox.2 29 300029\r\n" + head + b"x" * 300_000 + b"\r\n"
        )
        await client.close()
        with anyio.fail_after(5):
            await wire.ended.wait()
        assert wire.received == expected


async def test_server_that_does_not_read_holds_up_neither_writing_nor_closing() -> None:
    async with connected_to_wire() as (client, wire):
        wire.reading.clear()
        frame = Message("events.acme.a", b"NATS/1.0\r\n\r\n", b"x" * 900_000).frame("inbox.0")
        with anyio.fail_after(2):
            for _ in range(40):
                await write_frames(client, [frame])
        transport: Any = client._transport
        await close_nats(client)
        assert transport._io_writer.transport.is_closing()
        assert transport._io_writer.transport.get_write_buffer_size() == 0
