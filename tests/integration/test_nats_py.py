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
from nats.aio.transport import TcpTransport, WebSocketTransport
from nats.js.manager import JetStreamManager

from outbox_notify.config.settings import Settings
from outbox_notify.errors import NatsUnreachable
from outbox_notify.jetstream.client import close_nats, connect_nats, write_frames
from outbox_notify.jetstream.messages import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from outbox_notify.jetstream.guarded import GuardedClient

pytestmark = pytest.mark.anyio

INFO = {"server_id": "x", "version": "2.14.0", "headers": True, "max_payload": 1_048_576, "proto": 1}


class Wire:
    """A server that takes everything, and keeps it.

    Args:
        before_pong: what it says before each PONG.
    """

    def __init__(self, before_pong: bytes = b"") -> None:
        self._pong = before_pong + b"PONG\r\n"
        self._writer: asyncio.StreamWriter | None = None
        self.received = b""
        self.reading = asyncio.Event()
        self.reading.set()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        writer.write(f"INFO {json.dumps(INFO)}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.received += data
                if data.endswith(b"PING\r\n"):
                    self.received = b""
                    writer.write(self._pong)
                await self.reading.wait()
        writer.close()
        self.ended.set()

    def say(self, text: bytes) -> None:
        """Send something that nobody has asked for."""
        assert self._writer is not None
        self._writer.write(text)


@asynccontextmanager
async def connected_to_wire(wire: Wire | None = None) -> AsyncIterator[tuple[GuardedClient, Wire]]:
    wire = wire or Wire()
    async with await asyncio.start_server(wire.serve, "127.0.0.1", 0) as server:
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


def test_who_we_are_is_said_by_a_function_of_its_own_that_does_nothing_else() -> None:
    assert list(inspect.signature(Client._connect_command).parameters) == ["self"]
    assert not inspect.iscoroutinefunction(Client._connect_command)


async def test_connected_client_shows_its_socket() -> None:
    async with connected_to_wire() as (client, _):
        transport: Any = client._transport
        assert transport._io_writer.get_extra_info("socket") is not None
        assert not client._encrypted


async def test_client_whose_reader_has_ended_is_not_alive_though_it_calls_itself_connected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected_to_wire() as (client, wire):
        before = client.alive
        wire.say(b"INFO {this is not JSON}\r\n")
        reading: Any = client._reading_task
        with anyio.fail_after(5):
            await reading
        assert (before, client.alive, client.is_connected) == (True, False, True)
    assert "encountered error" in caplog.text


async def test_handshake_that_does_not_end_with_a_pong_is_no_connection() -> None:
    # So a server does when the client stands still for two seconds between CONNECT and PING.
    with pytest.raises(NatsUnreachable, match="did not complete the handshake"):
        async with connected_to_wire(Wire(before_pong=b"PING\r\n")):
            pass


async def test_connecting_that_is_cancelled_leaves_no_connection_behind() -> None:
    met, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        settings = Settings(nats_url=f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connect_nats, settings, _ignore, _closed)
            await met.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(1):
            await ended.wait()


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
