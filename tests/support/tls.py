"""A front with TLS before a PostgreSQL without: the handshake of the protocol, then bytes both ways."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme
from anyio.from_thread import start_blocking_portal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_CHUNK = 64 * 1024


class Authority:
    """A certificate authority.

    Args:
        folder: for its certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def server(self, host: str, *, not_after: datetime | None = None) -> ssl.SSLContext:
        """Return what a server with a certificate for a host has."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(host, not_after=not_after).configure_cert(context)
        return context


@dataclass
class TlsFront:
    """What a client meets.

    Args:
        target: port of the PostgreSQL behind.
        tls: what the front has to show; None refuses TLS, as a server without it does.
        clear: everything that clients have sent in the clear.
        told: everything that they have sent behind TLS.
        port: where it listens.
    """

    target: int
    tls: ssl.SSLContext | None
    clear: bytearray = field(default_factory=bytearray)
    told: bytearray = field(default_factory=bytearray)
    port: int = 0

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._greet(reader, writer)
        writer.transport.abort()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(len(SSL_REQUEST))
        self.clear += asked
        if self.tls is None or asked != SSL_REQUEST:
            writer.write(b"N")
            # What the client says now would be read by anybody on the way.
            self.clear += await reader.read(_CHUNK)
            return
        writer.write(b"S")
        await writer.start_tls(self.tls)
        await self._pass_on(reader, writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(_pump(reader, behind_writer, self.told)),
                    asyncio.ensure_future(_pump(behind_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            behind_writer.transport.abort()


@contextmanager
def standing_before_postgres(target: int, tls: ssl.SSLContext | None) -> Iterator[TlsFront]:
    """Run a front, in a thread of its own, for the time of the context."""
    front = TlsFront(target, tls)
    with start_blocking_portal() as portal:
        server = portal.call(front.listen)
        try:
            yield front
        finally:
            portal.call(server.close)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray | None = None
) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_CHUNK):
            if heard is not None:
                heard += piece
            writer.write(piece)
            await writer.drain()
