"""The proxy fails as it says: the fault tests stand on it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends back whatever it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=_echo, args=[conn], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def _echo(conn: socket.socket) -> None:
    with conn, contextlib.suppress(ConnectionError):
        while data := conn.recv(1024):
            conn.sendall(data)


def _link(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)


def _says(link: socket.socket, word: bytes) -> bytes:
    link.sendall(word)
    return link.recv(1024)


def test_proxy_passes_and_cuts(echo: int) -> None:
    with Proxy(echo) as proxy, _link(proxy) as link:
        assert _says(link, b"one") == b"one"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            link.recv(1)
        with _link(proxy) as new:
            assert _says(new, b"two") == b"two"
            proxy.cut(reset=False)
            assert new.recv(1) == b""
        assert proxy.accepted == 2


def test_deaf_proxy_keeps_connections_and_delivers_when_restored(echo: int) -> None:
    with Proxy(echo) as proxy, _link(proxy) as link:
        assert _says(link, b"one") == b"one"
        proxy.deaf()
        with pytest.raises(TimeoutError):
            _says(link, b"two")
        proxy.restore()
        assert link.recv(1024) == b"two"


def test_stranded_connections_never_come_back_while_new_ones_work(echo: int) -> None:
    with Proxy(echo) as proxy, _link(proxy) as old:
        assert _says(old, b"one") == b"one"
        proxy.strand()
        with pytest.raises(TimeoutError):
            _says(old, b"two")
        with _link(proxy) as new:
            assert _says(new, b"three") == b"three"


def test_refusing_proxy_takes_no_connections_until_restored(echo: int) -> None:
    with Proxy(echo) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            _link(proxy)
        proxy.restore()
        with _link(proxy) as link:
            assert _says(link, b"one") == b"one"


def test_slow_proxy_is_late(echo: int) -> None:
    with Proxy(echo) as proxy, _link(proxy) as link:
        proxy.slow(delay=0.1)
        began = time.monotonic()
        assert _says(link, b"one") == b"one"
        assert time.monotonic() - began >= 0.2
