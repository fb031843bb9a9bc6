"""A TCP proxy that can fail as networks do. It runs in a thread of its own, before one server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

UP, DOWN = "up", "down"
_CHUNK = 64 * 1024
_LINGER_AND_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Weather:
    """How the network is, in one direction.

    Args:
        flows: cleared while nothing gets through.
        delay: seconds that each piece is late.
        rate: bytes a second, at most; 0 for no limit.
    """

    flows: asyncio.Event = field(default_factory=asyncio.Event)
    delay: float = 0.0
    rate: float = 0.0

    async def pass_on(self, size: int) -> None:
        """Return when a piece of this size may go on."""
        await asyncio.sleep(self.delay + (size / self.rate if self.rate else 0.0))
        await self.flows.wait()


class Proxy:
    """A proxy on a port of 127.0.0.1; as a context manager it runs for the time of the context.

    Args:
        port: of the server behind it, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._weather = {UP: _Weather(), DOWN: _Weather()}
        self._links: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def deaf(self, *directions: str) -> None:
        """Become a black hole: connections stay, and can be made, but nothing gets through. Both ways by default."""
        for direction in directions or (UP, DOWN):
            self._soon(self._weather[direction].flows.clear)

    def strand(self) -> None:
        """Let the connections that there are never get anything through again; new ones work.

        So it looks when the host behind an address is gone and another one takes over.
        """
        self.deaf()
        self._weather = {UP: _Weather(), DOWN: _Weather()}
        self.restore()

    def slow(self, *, delay: float = 0.0, rate: float = 0.0) -> None:
        """Let each piece be late by `delay` seconds, and at most `rate` bytes a second get through, both ways."""
        for weather in self._weather.values():
            weather.delay, weather.rate = delay, rate

    def cut(self, *, reset: bool = True) -> None:
        """End all connections, with RST or FIN; new ones are taken."""
        self._soon(lambda: self._end_links(reset=reset))

    def refuse(self) -> None:
        """End all connections and take no new ones, as a host without a server does."""
        self._call(self._stop_listening())
        self.cut()

    def restore(self) -> None:
        """Let everything pass again; take connections again after `refuse`."""
        self.slow()
        for weather in self._weather.values():
            self._soon(weather.flows.set)
        if self._server is not None and not self._server.is_serving():
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self._call(self._listen())

    def _call(self, coroutine: object) -> None:
        assert asyncio.iscoroutine(coroutine)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _soon(self, change: Callable[[], object]) -> None:
        """Change something in the proxy's thread, and return when it is changed."""

        async def make() -> None:
            change()

        self._call(make())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._listening)

    async def _stop_listening(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _close(self) -> None:
        await self._stop_listening()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def _end_links(self, *, reset: bool) -> None:
        for writer in self._open:
            if reset:
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_AND_RESET
                )
                writer.transport.abort()
            else:
                writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self.accepted += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._link(reader, writer)
        finally:
            self._links.discard(task)
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, server_writer}
        weather = self._weather
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, server_writer, weather[UP]))
                both.create_task(_pump(server_reader, writer, weather[DOWN]))
        except* OSError:
            pass  # one side ended: so does the other
        finally:
            self._open -= {writer, server_writer}
            server_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, weather: _Weather) -> None:
    while piece := await reader.read(_CHUNK):
        await weather.pass_on(len(piece))
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
