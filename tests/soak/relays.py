"""A relay with many lives."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from tests.support.command import CommandProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.proxy import Proxy

# Its shutdown timeout is 5 s; the rest is for a machine that is busy with something else.
STOPS_WITHIN = 20.0
# Seconds one way.
_TO_POSTGRES = 0.002


class Relay:
    """A relay that is started again after each of its ends, with a log for each life.

    Args:
        name: of the relay.
        folder: for its logs.
        postgres: its way to PostgreSQL.
        nats: its way to NATS.
        distance: of NATS, seconds one way.
        settings: variables of its environment.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        postgres: Proxy,
        nats: Proxy,
        *,
        distance: float,
        settings: Mapping[str, str],
    ) -> None:
        self.name = name
        self.postgres, self.nats = postgres, nats
        self._folder, self._settings = folder, settings
        self._distance = distance
        self.lives: list[CommandProcess] = []
        self.wanted = False

    @property
    def process(self) -> CommandProcess:
        """Its present life, or the last one."""
        return self.lives[-1]

    @property
    def there(self) -> bool:
        """Whether it has come so far that it can be told to stop."""
        return bool(self.process.records("relay.ready"))

    @property
    def deserted(self) -> bool:
        """Whether it has ended without being told to."""
        return self.wanted and not self.process.running

    def start(self) -> None:
        """Begin a new life."""
        name = f"{self.name}.{len(self.lives) + 1}"
        settings = {**self._settings, "OUTBOX_RELAY_ID": name}
        self.lives.append(CommandProcess("relay", output=self._folder / f"{name}.log", settings=settings))
        self.wanted = True

    def restore(self) -> None:
        """Let everything through to the servers, which are a little way off."""
        for way, distance in ((self.postgres, _TO_POSTGRES), (self.nats, self._distance)):
            way.restore()
            way.slow(delay=distance)

    def kill(self) -> None:
        """End its life as a crash does."""
        self.wanted = False
        self.process.kill()

    def tell_to_stop(self) -> None:
        """Ask it to end; see `stopped`."""
        self.wanted = False
        if self.process.running:
            self.process.send(signal.SIGTERM)

    def stopped(self, within: float) -> str | None:
        """Return what was wrong with the way it stopped, once it has; it is killed when it does not."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"{self.process.output.name}: did not stop within {STOPS_WITHIN:g} s"
        return f"{self.process.output.name}: stopped with exit code {code}" if code else None
