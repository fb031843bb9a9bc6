"""Asking the relay over HTTP."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.support.command import CommandProcess


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.text)


def ask(address: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """Ask once, over a connection of its own."""
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read().decode())


def http_address(relay: CommandProcess) -> str:
    """Return where a relay answers, once it does."""
    return str(relay.wait_for_record("http.ready")["address"])


def metrics_of(address: str) -> dict[str, float]:
    """Return all metrics by name and labels, as they are written: `component_up{component="nats"}`."""
    lines = (line for line in ask(address, "/metrics").text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("outbox_notify_"): float(number) for name, number in map(_split, lines)}


def _split(line: str) -> tuple[str, str]:
    name, _, number = line.rpartition(" ")
    return name, number
