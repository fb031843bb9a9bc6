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
from nats.aio.transport import TcpTransport, WebSocketTransport
from nats.js.manager import JetStreamManager

from outbox_notify.config.settings import Settings
from outbox_notify.jetstream.client import close_nats, connect_nats, write_frames
from outbox_notify.jetstream.messages import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.client import Client

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
        (TcpTransport.drain, ["self"]),
        (WebSocketTransport.drain, ["self"]),
        (JetStreamManager._api_request, ["self", "req_subject", "req", "timeout"]),
    ],
)
def test_private_functions_are_still_what_they_were(
    function: Callable[..., object], signature: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == signature
    assert inspect.iscoroutinefunction(function)


async def test_what_the_client_has_buffered_goes_out_before_frames() -> None:
    async with connected_to_wire() as (client, wire):
        await client.subscribe("inbox.*")
        assert [type(piece) for piece in client._pending] == [bytes]
        await write_frames(client, [b"PUB a 0\r\n\r\n"])
        assert (client._pending, client._pending_data_size) == ([], 0)
        await client.close()
        with anyio.fail_after(5):
            await wire.ended.wait()
        assert wire.received.startswith(b"SUB inbox.*")
        assert wire.received.endswith(b"PUB a 0\r\n\r\n")


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


async def test_server_that_does_not_read_is_waited_for_until_the_client_is_closed() -> None:
    frame = Message("events.acme.a", b"NATS/1.0\r\n\r\n", b"x" * 900_000).frame("inbox.0")
    async with connected_to_wire() as (client, wire):
        wire.reading.clear()
        transport: Any = client._transport
        written = 0
        with anyio.move_on_after(0.5):
            for _ in range(40):
                await write_frames(client, [frame])
                written += 1
        assert written < 40
        assert transport._io_writer.transport.get_write_buffer_size() < 2 * len(frame)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_frames, client, [frame])
            await anyio.lowlevel.checkpoint()
            with anyio.fail_after(3):
                await close_nats(client)
        assert transport._io_writer.transport.is_closing()
        assert transport._io_writer.transport.get_write_buffer_size() == 0
