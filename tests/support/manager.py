"""The service manager, as far as a service talks to it."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Manager:
    """Hears what a service tells systemd, with the time of each message.

    Args:
        path: of its socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def pings(self) -> list[float]:
        """Return when the watchdog was fed."""
        return [when for when, text in self.heard if "WATCHDOG=1" in text]

    def told(self) -> list[str]:
        """Return all that it was told, in order."""
        return [text for _, text in self.heard]

    def status(self) -> str:
        """Return the line that `systemctl status` would show."""
        lines = [line for text in self.told() for line in text.splitlines()]
        return next(
            (line.removeprefix("STATUS=") for line in reversed(lines) if line.startswith("STATUS=")), ""
        )

    def close(self) -> None:
        """Hear no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _hear(self) -> None:
        while text := self._socket.recv(4096):
            self.heard.append((time.monotonic(), text.decode()))
