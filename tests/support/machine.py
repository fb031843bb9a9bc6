"""How long the machine itself stands still: these tests share it, and no promise of the relay is about its disk."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE = 0.02
# What a commit may take without being called a stall.
_ORDINARY = 0.05


@dataclass
class Machine:
    """Knows when a bare commit, beside everything else, took longer than it should.

    Args:
        stalls: begin and end of each, on the monotonic clock.
    """

    stalls: list[tuple[float, float]] = field(default_factory=list)

    def stalled(self, since: float, until: float) -> float:
        """Return for how many seconds of a stretch of time the machine stood still."""
        return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in self.stalls)

    def watch(self, url: str, stop: threading.Event) -> None:
        """Commit, over and over, until told to stop."""
        with psycopg.connect(url, autocommit=True, application_name="machine") as conn:
            while not stop.is_set():
                began = time.monotonic()
                conn.execute("SELECT pg_logical_emit_message(true, 'machine', '')")
                stop.wait(_PAUSE)
                if (ended := time.monotonic()) - began > _PAUSE + _ORDINARY:
                    self.stalls.append((began, ended))


@contextmanager
def watched_machine(url: str) -> Iterator[Machine]:
    """Watch the machine of a database from a thread of its own."""
    machine, stop = Machine(), threading.Event()
    thread = threading.Thread(target=machine.watch, args=(url, stop), daemon=True)
    thread.start()
    try:
        yield machine
    finally:
        stop.set()
        thread.join(10)
