"""Giving up on a connection that says nothing any more, and not on one that is only slow.

A host, a balancer or a process that stands still may keep a connection open for ever, and the kernel does not mind.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where Linux tells how many milliseconds ago data came last: struct tcp_info, tcpi_last_data_recv.
_LAST_DATA = struct.Struct("=52xI")


@contextmanager
def ending_with_silence(conn: psycopg.AsyncConnection[Any], longest: float) -> Iterator[anyio.CancelScope]:
    """End the block, as `move_on_after` does, when nothing has come over a connection for so many seconds.

    Args:
        conn: that the block waits for.
        longest: seconds.
    """
    with anyio.CancelScope() as scope:
        watch = _Watch(conn, longest, scope)
        try:
            yield scope
        finally:
            watch.stop()


class _Watch:
    def __init__(self, conn: psycopg.AsyncConnection[Any], longest: float, scope: anyio.CancelScope) -> None:
        self._conn, self._longest, self._scope = conn, longest, scope
        self._began = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(longest, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        silent = min(_silent_for(self._conn), time.monotonic() - self._began)
        if silent >= self._longest:
            self._scope.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(self._longest - silent, self._look)


def _silent_for(conn: psycopg.AsyncConnection[Any]) -> float:
    """Return for how long nothing has come, in seconds; for ever where the system cannot tell."""
    try:
        with socket.fromfd(conn.fileno(), socket.AF_INET, socket.SOCK_STREAM) as link:
            told = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
        milliseconds: int = _LAST_DATA.unpack(told)[0]
    except (AttributeError, OSError, struct.error, psycopg.Error):
        return float("inf")
    return milliseconds / 1000
