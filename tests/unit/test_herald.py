"""The status line of the service follows what is wrong."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from outbox_notify.observability.herald import Herald
from outbox_notify.observability.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NATS = {"component": "nats", "reason": "no servers available for connection"}


class Service:
    """A herald between troubles that a test sets, and a socket like systemd's."""

    def __init__(self, manager: socket.socket) -> None:
        self.troubles: list[dict[str, str]] = []
        self.tell = Herald(Systemd(manager.getsockname()), lambda: self.troubles)
        self._manager = manager

    def heard(self) -> list[str]:
        heard = []
        try:
            while True:
                heard.append(self._manager.recv(4096, socket.MSG_DONTWAIT).decode())
        except BlockingIOError:
            return heard


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        yield Service(manager)


def test_an_outage_is_told_with_its_reason_and_its_end(service: Service) -> None:
    service.tell("nats.connected", component="nats")
    service.troubles = [NATS, {"component": "wake", "reason": "not listening yet"}]
    service.tell("outage.started", component="nats", reason="x")
    service.troubles = []
    service.tell("outage.ended", component="nats")
    assert service.heard() == [
        "STATUS=publishing",
        "STATUS=not ready: nats: no servers available for connection; wake: not listening yet",
        "STATUS=publishing",
    ]


def test_what_has_not_changed_is_told_once(service: Service) -> None:
    for _ in range(3):
        service.tell("database.asked", error=None)
    assert service.heard() == ["STATUS=publishing"]


def test_what_changes_nothing_is_not_looked_into(service: Service) -> None:
    service.tell("batch.settled", outcomes={}, overtaken=0)
    assert service.heard() == []


def test_a_relay_that_stops_keeps_the_line_of_its_stop(service: Service) -> None:
    service.tell("relay.stopping", signal="SIGTERM", within=30)
    service.troubles = [NATS]
    service.tell("outage.started", component="nats", reason="x")
    assert service.heard() == []
