"""The HTTP server: what it answers, to whom, and how little it lets clients do to the relay."""

from __future__ import annotations

import base64
import contextlib
import signal
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from outbox_notify.errors import DatabaseUnreachable
from outbox_notify.http import server as module
from outbox_notify.http.server import bound, serve
from outbox_notify.http.views import Views
from tests.support.http import Answer, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

LOGIN = "prometheus:a p@ss:wörd"
WRONG = [
    {},
    {"Authorization": "Basic"},
    {"Authorization": "Basic ???"},
    {"Authorization": f"Basic {base64.b64encode(b'prometheus:').decode()}"},
    {"Authorization": f"Bearer {base64.b64encode(LOGIN.encode()).decode()}"},
]
RIGHT = {"Authorization": f"Basic {base64.b64encode(LOGIN.encode()).decode()}"}

# More than the buffers of both sides hold.
_LARGE = 50_000_000


@dataclass
class Site:
    """A server with answers that are set by hand."""

    address: str = ""
    troubles: list[dict[str, str]] = field(default_factory=list)
    unreachable: bool = False

    async def get(self, path: str, method: str = "GET", **more: Any) -> Answer:
        """Ask without holding up the server, which lives in the same loop."""
        return await anyio.to_thread.run_sync(partial(ask, self.address, path, method, **more))

    async def status(self) -> dict[str, Any]:
        if self.unreachable:
            raise DatabaseUnreachable("PostgreSQL: gone")
        return {"backlog": {"pending": 3}}

    def views(self) -> Views:
        return Views(
            lambda: self.troubles, lambda accept: (b"up 1\n", f"text/plain; of={accept}"), self.status
        )

    def connect(self) -> socket.socket:
        """Open a connection that says nothing yet."""
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=10)


@contextlib.asynccontextmanager
async def serving(login: str | None = None) -> AsyncIterator[Site]:
    site, listening = Site(), bound("127.0.0.1:0")
    site.address = f"127.0.0.1:{listening.getsockname()[1]}"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listening, site.views(), login)
        yield site
        tasks.cancel_scope.cancel()


async def test_each_path_answers_what_it_is_for() -> None:
    async with serving() as site:
        live, ready = await site.get("/livez"), await site.get("/readyz")
        metrics, status = await site.get("/metrics", Accept="any"), await site.get("/status")
        assert (live.status, live.json) == (200, {"live": True})
        assert (ready.status, ready.json) == (200, {"ready": True, "reasons": []})
        assert (metrics.status, metrics.text) == (200, "up 1\n")
        assert metrics.headers["content-type"] == "text/plain; of=any"
        assert (status.status, status.json) == (200, {"backlog": {"pending": 3}})
        assert (await site.get("/")).status == 404


async def test_what_is_wrong_makes_it_unready_but_not_dead() -> None:
    async with serving() as site:
        site.troubles = [{"component": "nats", "reason": "gone"}]
        site.unreachable = True
        ready, status = await site.get("/readyz"), await site.get("/status")
        assert (ready.status, ready.json) == (503, {"ready": False, "reasons": site.troubles})
        assert (status.status, status.json) == (503, {"error": "PostgreSQL: gone"})
        assert (await site.get("/livez")).status == 200
        assert (await site.get("/metrics")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_nothing_but_reading_is_allowed(method: str) -> None:
    async with serving() as site:
        for path in ("/livez", "/readyz", "/metrics", "/status"):
            assert (await site.get(path, method, body="x=1")).status == 405


async def test_head_tells_the_same_without_a_body() -> None:
    async with serving() as site:
        site.troubles = [{"component": "nats", "reason": "gone"}]
        head = await site.get("/readyz", "HEAD")
        assert (head.status, head.text) == (503, "")


async def test_answers_are_not_kept_not_framed_and_say_nothing_of_the_server() -> None:
    async with serving() as site:
        for path in ("/metrics", "/nowhere"):
            headers = (await site.get(path)).headers
            assert "server" not in headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["connection"] == "close"


@pytest.mark.parametrize("headers", WRONG)
async def test_numbers_and_reasons_are_for_those_who_log_in(headers: dict[str, str]) -> None:
    async with serving(LOGIN) as site:
        site.troubles = [{"component": "nats", "reason": "gone"}]
        for path in ("/metrics", "/status"):
            refused = await site.get(path, **headers)
            assert (refused.status, refused.json) == (401, {"error": "log in"})
            assert refused.headers["www-authenticate"].startswith("Basic ")
        ready = await site.get("/readyz", **headers)
        assert (ready.status, ready.json) == (503, {"ready": False})
        assert (await site.get("/livez", **headers)).status == 200


async def test_who_logs_in_sees_everything() -> None:
    async with serving(LOGIN) as site:
        assert (await site.get("/metrics", **RIGHT)).text == "up 1\n"
        assert (await site.get("/status", **RIGHT)).json == {"backlog": {"pending": 3}}
        assert (await site.get("/readyz", **RIGHT)).json == {"ready": True, "reasons": []}


@pytest.mark.parametrize(
    "said", [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12"]
)
async def test_client_that_does_not_finish_is_cut_off(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.3)
    async with serving() as site:
        with site.connect() as client:
            client.sendall(said)
            with anyio.fail_after(5):
                assert await anyio.to_thread.run_sync(_until_the_end, client) in {b"", b"200"}


async def test_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.5)
    async with serving() as site:
        large = Views(list, lambda _accept: (b"x" * _LARGE, "text/plain"), site.status)
        listening = bound("127.0.0.1:0")
        slow = Site(f"127.0.0.1:{listening.getsockname()[1]}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, listening, large, None)
            with slow.connect() as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await slow.get("/livez")).status == 200
                # The timer of the server fires first: it lives in the same loop.
                await anyio.sleep(1.0)
                assert len(await anyio.to_thread.run_sync(_all_of, client)) < _LARGE
            tasks.cancel_scope.cancel()


async def test_head_of_a_request_may_be_only_so_large() -> None:
    async with serving() as site:
        with site.connect() as client:
            client.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 100_000)
            assert await anyio.to_thread.run_sync(_until_the_end, client) == b"400"


async def test_too_many_connections_are_refused_and_the_others_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 5)
    async with serving() as site:
        clients = [site.connect() for _ in range(5)]
        await anyio.sleep(0.1)
        with site.connect() as refused:
            assert await anyio.to_thread.run_sync(_until_the_end, refused) == b""
        clients.pop().close()
        await anyio.sleep(0.1)
        assert (await site.get("/livez")).status == 200
        for client in clients:
            client.close()


async def test_signals_stay_with_the_relay() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving() as site:
        await site.get("/livez")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_end_of_the_server_ends_its_connections_and_frees_its_port() -> None:
    async with serving() as site:
        client = site.connect()
        await site.get("/livez")
    with client:
        assert await anyio.to_thread.run_sync(_until_the_end, client) == b""
    bound(site.address).close()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
async def test_address_may_be_a_name_or_of_either_family(address: str) -> None:
    with bound(address) as listening:
        assert listening.getsockname()[1] > 0


async def test_taken_port_is_an_error_also_before_anybody_is_served() -> None:
    with bound("127.0.0.1:0") as first, pytest.raises(OSError, match="in use"):
        bound(f"127.0.0.1:{first.getsockname()[1]}")


def _until_the_end(client: socket.socket) -> bytes:
    """Return the status of what came before the connection ended; nothing when nothing came."""
    answer = _all_of(client)
    return answer.split(b" ")[1] if answer else b""


def _all_of(client: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65536):
            pieces.append(more)
    return b"".join(pieces)
