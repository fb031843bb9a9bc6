"""The processes that play a part: PostgreSQL, NATS, the service, the relay and the consumer."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from outbox_notify.embedded import EmbeddedServers, ServerProcess, log_tail

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = str(Path(__file__).parents[3])
_START_TIMEOUT = 30
_STOP_TIMEOUT = 15


class Stage:
    """Everything that runs; started by `with` and gone after it; from the main thread only."""

    def __init__(self) -> None:
        self.servers = EmbeddedServers()
        self._running = ExitStack()
        self._consumer: ServerProcess | None = None

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.servers)
            # First the service: it makes the tables.
            starting.callback(_stop, service := self._start("service", "examples.inventory"))
            service.wait_until(self._has_address, timeout=_START_TIMEOUT)
            starting.callback(_stop, self._start("relay", "outbox_notify", "relay"))
            starting.callback(self.kill_consumer)
            self.start_consumer()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def address(self) -> str:
        """Where the service answers, as `host:port`."""
        found = re.search(r"http://(\S+)\n", self._log("service").read_text(encoding="utf-8"))
        return found[1] if found else ""

    def start_consumer(self) -> None:
        """Start the consumer."""
        self._consumer = self._start("consumer", "examples.inventory.consumer")

    def kill_consumer(self) -> None:
        """End the consumer in the middle of whatever it does."""
        if self._consumer:
            self._consumer.kill()

    def command(self, *arguments: str) -> str:
        """Run `outbox-notify` and return what it prints."""
        done = subprocess.run(  # noqa: S603  # the command is ours
            [sys.executable, "-m", "outbox_notify", *arguments],
            env=self._settings(),
            cwd=self.servers.nats.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def logs(self) -> str:
        """Return the last lines of each log."""
        names = ("service", "relay", "consumer")
        return "\n".join(f"--- {name}\n{log_tail(self._log(name))}" for name in names)

    def _has_address(self) -> bool:
        return bool(self.address)

    def _start(self, name: str, *module: str) -> ServerProcess:
        command, folder = [sys.executable, "-m", *module], self.servers.nats.folder
        return ServerProcess(command, log=self._log(name), cwd=folder, environment=self._settings())

    def _settings(self) -> dict[str, str]:
        ours = {"OUTBOX_HTTP": "off", "INVENTORY_HTTP": "127.0.0.1:0", "PYTHONPATH": _ROOT}
        return {**self.servers.settings(), **ours}

    def _log(self, name: str) -> Path:
        return self.servers.nats.folder / f"{name}.log"


def _stop(process: ServerProcess) -> None:
    process.stop(signal.SIGTERM, timeout=_STOP_TIMEOUT)
