"""Three NATS nodes on this machine, one cluster: JetStream keeps a stream on all of them."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, suppress
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Self
from urllib.request import urlopen

from outbox_notify.embedded import EmbeddedNats
from tests.support.processes import wait_for
from tests.support.stream import create_stream

if TYPE_CHECKING:
    from types import TracebackType

_NODES = 3
_TIMEOUT = 60.0
_DUPLICATE_WINDOW = 600 * 10**9


class NatsNodes:
    """A cluster of three; as a context manager it starts, holds a stream of three replicas, and leaves nothing behind.

    Args:
        stream: its name; it takes `events.>`.
    """

    def __init__(self, stream: str = "OUTBOX") -> None:
        ports = _route_ports()
        self.nodes = [EmbeddedNats(_config(number, ports)) for number in range(_NODES)]
        self._stream = stream
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for node in self.nodes:
                starting.enter_context(node)
            wait_for(lambda: all(map(_knows_leader, self.nodes)), _TIMEOUT, "a leader of JetStream")
            create_stream(
                self.url,
                "events.>",
                name=self._stream,
                num_replicas=_NODES,
                duplicate_window=_DUPLICATE_WINDOW,
                allow_batched=True,
            )
            self.wait_until_whole()
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    @property
    def url(self) -> str:
        """Addresses of all three, parted by commas."""
        return self.url_from(self.nodes[0])

    def url_from(self, first: EmbeddedNats) -> str:
        """Return the addresses of all three, one of them first."""
        others = [node for node in self.nodes if node is not first]
        return ",".join(node.url for node in (first, *others))

    def wait_for_leader(self) -> EmbeddedNats:
        """Return the node that leads the stream, once there is one."""
        found: list[EmbeddedNats] = []

        def led() -> bool:
            found[:] = self._leaders()
            return bool(found)

        wait_for(led, _TIMEOUT, f"a leader of {self._stream}")
        return found[0]

    def wait_until_whole(self) -> None:
        """Return once every replica of the stream is up to date."""
        wait_for(self._whole, _TIMEOUT, f"all replicas of {self._stream}")

    def _leaders(self) -> list[EmbeddedNats]:
        """Return the nodes that take themselves for the leader: a dead one is still named by the others."""
        return [
            node
            for node in self.nodes
            if node.running and _state(node, self._stream).get("leader") == f"node{self.nodes.index(node)}"
        ]

    def _whole(self) -> bool:
        replicas = [one for node in self._leaders() for one in _state(node, self._stream).get("replicas", [])]
        return sum(_is_current(one) for one in replicas) == _NODES - 1


def _route_ports() -> list[int]:
    """Return free ports, below those that the kernel gives to whoever asks for any: the nodes ask for some of these."""
    free: list[int] = []
    for port in SystemRandom().sample(range(15_000, 30_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
        if len(free) == _NODES:
            break
    return free


def _config(number: int, ports: list[int]) -> str:
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    return (
        f"server_name: node{number}\n"
        f"cluster {{ name: outbox, listen: '127.0.0.1:{ports[number]}', routes: [{routes}] }}\n"
    )


def _knows_leader(node: EmbeddedNats) -> bool:
    meta = _ask(node, "/jsz").get("meta_cluster", {})
    return bool(meta.get("leader")) and meta.get("cluster_size") == _NODES


def _state(node: EmbeddedNats, stream: str) -> dict[str, Any]:
    """Return what a node knows of the replicas of a stream: nothing when it does not know the stream."""
    for account in _ask(node, "/jsz?accounts=true&streams=true").get("account_details", []):
        for detail in account.get("stream_detail", []):
            if detail["name"] == stream:
                return dict(detail.get("cluster", {}))
    return {}


def _is_current(replica: dict[str, Any]) -> bool:
    return bool(replica.get("current")) and not replica.get("offline") and not replica.get("lag")


def _ask(node: EmbeddedNats, path: str) -> dict[str, Any]:
    try:
        with urlopen(f"{node.monitoring_url}{path}", timeout=1) as answer:  # noqa: S310  # http, and ours
            return dict(json.load(answer))
    except OSError:
        return {}
