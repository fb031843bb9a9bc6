"""sd_notify against a real datagram socket, and the unit file against the settings."""

from __future__ import annotations

import configparser
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outbox_notify.config.settings import Settings, declarations
from outbox_notify.config.values import duration
from outbox_notify.errors import ConfigError, NotPermitted
from outbox_notify.observability.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parents[2] / "deploy" / "outbox-notify.service"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_states_arrive_as_datagrams(manager: socket.socket) -> None:
    systemd = Systemd.from_environment({"NOTIFY_SOCKET": manager.getsockname()})
    systemd.ready("publishing to OUTBOX")
    systemd.status("backlog 3")
    systemd.alive()
    systemd.stopping("settling", 1.5)
    assert [manager.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=publishing to OUTBOX",
        b"STATUS=backlog 3",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=settling\nEXTEND_TIMEOUT_USEC=1500000",
    ]


def test_abstract_sockets_are_reached() -> None:
    name = f"outbox-notify-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        Systemd.from_environment({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert manager.recv(4096) == b"WATCHDOG=1"


def test_a_status_cannot_smuggle_in_another_state(manager: socket.socket) -> None:
    Systemd(manager.getsockname()).status("refused\nMAINPID=1")
    assert manager.recv(4096) == b"STATUS=refused\\nMAINPID=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "vsock:2:1234", "relative"])
def test_nobody_listening_is_no_error(address: str) -> None:
    Systemd.from_environment({"NOTIFY_SOCKET": address} if address else {}).ready("publishing")


def test_a_manager_that_does_not_read_is_not_waited_for(manager: socket.socket) -> None:
    systemd = Systemd(manager.getsockname())
    for _ in range(10_000):
        systemd.alive()
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(environ: dict[str, str], seconds: float | None) -> None:
    assert Systemd.from_environment(environ).watchdog_interval == seconds


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep upper case
    parser.read(UNIT, encoding="utf-8")
    return parser["Service"]


def test_the_unit_waits_longer_than_the_relay_may_take_to_stop(unit: configparser.SectionProxy) -> None:
    assert duration("0", "1h").read(unit["TimeoutStopSec"]) > Settings().shutdown_timeout


def test_the_unit_does_not_restart_what_a_restart_cannot_mend(unit: configparser.SectionProxy) -> None:
    hopeless = {2, NotPermitted.exit_code, ConfigError.exit_code}
    assert set(map(int, unit["RestartPreventExitStatus"].split())) == hopeless


def test_the_unit_leaves_what_the_metrics_of_the_process_are_read_from(
    unit: configparser.SectionProxy,
) -> None:
    # prometheus_client shows none of them without /proc/stat.
    assert unit.get("ProcSubset", "all") == "all"


def test_the_unit_hands_over_credentials_under_the_names_of_settings() -> None:
    lines = [line.lstrip("#") for line in UNIT.read_text(encoding="utf-8").splitlines()]
    names = [line.split("=")[1].split(":")[0] for line in lines if line.startswith("LoadCredential=")]
    assert names
    assert set(names) <= set(declarations())
