"""uvicorn in somebody else's event loop: no signal handlers, no log of its own, and little patience with clients."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from outbox_notify.http.app import make_app

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from outbox_notify.http.views import Views

# From the connection to its end, all of it: who reads or writes slower than that is cut off.
LONGEST = 10.0
# More at once are refused unread, so that nobody can take all the descriptors that the relay needs.
MOST_CONNECTIONS = 50
_LARGEST_HEAD = 16 * 1024
_HEADERS = [
    # One request a connection: then one timer bounds everything.
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]


def bound(address: str) -> socket.socket:
    """Return a socket that is bound to `host:port`; port 0 takes any that is free.

    Raises:
        OSError: the port is taken, or the host is not one of this machine's.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family, kind, protocol, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        # Now, not when uvicorn does: two relays that start at once may both be bound, but not both listen.
        listening.listen(MOST_CONNECTIONS)
    except OSError:
        listening.close()
        raise
    return listening


async def serve(listening: socket.socket, views: Views, login: str | None) -> None:
    """Answer until cancelled.

    Args:
        listening: as `bound` returns it; closed at the end.
        views: where answers come from.
        login: `user:password` for all but the probes; None for none.
    """
    server = _Server(
        uvicorn.Config(
            make_app(views, login),
            http=_Brief,
            ws="none",
            lifespan="off",
            log_config=None,
            # Not of what strangers send: whoever can connect could fill the log.
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=_HEADERS,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            backlog=MOST_CONNECTIONS,
        )
    )
    try:
        await server.serve([listening])
    finally:
        server.end()


class _Server(uvicorn.Server):
    """Leaves signals to the relay."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield

    def end(self) -> None:
        """Close everything at once."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()


class _Brief(H11Protocol):
    """A connection that ends after a while, whatever its client does or leaves undone."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._end = self.loop.call_later(LONGEST, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)
