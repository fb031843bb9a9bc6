"""What a soak shows while it runs, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.conductor import Strike
    from tests.soak.writers import Writer

_CLEAR = "\r\x1b[K"


class Screen:
    """A line for each fault as it begins and ends, and one that tells how far it is: renewed, or every ten seconds.

    Args:
        services: who writes.
        seconds: for how long.
        log: takes the lines of the faults too.
        out: where it shows.
    """

    def __init__(
        self, services: Sequence[Writer], seconds: float, log: TextIO, out: TextIO = sys.stderr
    ) -> None:
        self._services, self._seconds = services, seconds
        self._log, self._out = log, out
        self._began = time.monotonic()
        self._next = 0.0

    def struck(self, strike: Strike) -> None:
        """Tell that a fault begins, or has been undone."""
        what = f"undone after {strike.ended - strike.began:.1f} s" if strike.ended else "begins"
        line = f"{self._now():7.2f}  {strike.fault.kind:<26} {strike.fault.target:<10} {what}"
        self._log.write(f"{time.time():.3f} {line}\n")
        self._log.flush()
        self.say(line)

    def tick(self, strikes: Sequence[Strike]) -> None:
        """Tell how far it is, now and then."""
        if (now := self._now()) < self._next:
            return
        live = self._out.isatty()
        self._next = now + (0.5 if live else 10.0)
        committed = sum(len(service.ledger.committed) for service in self._services)
        broken = ", ".join(f"{strike.fault.kind}" for strike in strikes if not strike.ended) or "nothing"
        line = f"{now:5.0f} of {self._seconds:g} s, {committed} events, {len(strikes)} faults; now: {broken}"
        self._out.write(f"{_CLEAR}{line}" if live else f"{line}\n")
        self._out.flush()

    def say(self, line: str) -> None:
        """Tell something."""
        self._out.write(f"{_CLEAR if self._out.isatty() else ''}{line}\n")
        self._out.flush()

    def _now(self) -> float:
        return time.monotonic() - self._began
