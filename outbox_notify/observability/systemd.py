"""Tell systemd how the service is: sd_notify in a few lines, silent where nobody listens.

The protocol is a datagram of `NAME=value` lines to the socket in `NOTIFY_SOCKET`; see sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from outbox_notify.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True)
class Systemd:
    """The service manager, or nobody.

    Args:
        address: path of its socket, or `@name` for an abstract one; empty when there is none.
        watchdog_interval: seconds in which `alive` must be called: half of what systemd grants; None without.
    """

    address: str = ""
    watchdog_interval: float | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Return what the environment says; the watchdog only when it watches this very process."""
        environ = os.environ if environ is None else environ
        return cls(environ.get("NOTIFY_SOCKET", ""), _watchdog_interval(environ))

    @property
    def listens(self) -> bool:
        """Whether there is somebody to tell."""
        return self.address[:1] in {"/", "@"}

    def ready(self, status: str) -> None:
        """Say that the start is over."""
        self._send("READY=1", f"STATUS={one_line(status)}")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={one_line(text)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str, seconds: float) -> None:
        """Say that the stop began, and that it may take so many seconds from now."""
        microseconds = int(seconds * _MICROSECONDS)
        self._send("STOPPING=1", f"STATUS={one_line(status)}", f"EXTEND_TIMEOUT_USEC={microseconds}")

    def _send(self, *lines: str) -> None:
        if not self.listens:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                # Never wait: a manager that does not read must not hold up the event loop.
                out.setblocking(False)
                out.sendto("\n".join(lines).encode(), address)
        except OSError:
            # It has gone, or its queue is full. It judges by what it hears; there is nobody else to tell.
            return


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    granted = environ.get("WATCHDOG_USEC", "")
    watched = environ.get("WATCHDOG_PID") or str(os.getpid())
    if not granted.isdecimal() or int(granted) == 0 or watched != str(os.getpid()):
        return None
    return int(granted) / _MICROSECONDS / 2
