"""When a relay without work looks again: pure policy of the armed wake.

A NOTIFY costs every writer, so writers send it only while a relay holds, or waits for, the wake lock. Between
asking for the lock and getting it, writers that skipped the NOTIFY may still commit: then the relay looks by
itself, at growing intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_FIRST_LOOK = 0.005
_LONGEST_LOOK = 0.25
# Without a wake that can be trusted, look this often.
POLL_INTERVAL = 0.5
# Batches this small are light traffic: letting go of the lock would cost more than a few NOTIFYs. Above it the
# relay lets go, and goes on looking at this interval, until the batches are small again.
LIGHT_BATCH = 8
_HEAVY_LOOK = 0.01


class Arm(Enum):
    """How far the relay is with the wake lock."""

    OFF = "off"
    """Not asked for."""
    ASKED = "asked"
    """Waiting for writers that skipped their NOTIFY; new ones already notify."""
    HELD = "held"
    """Every insert notifies."""
    SPARE = "spare"
    """Another relay has it; its NOTIFYs reach this one too."""


@dataclass(slots=True)
class Wakeup:
    """Decides how long to rest, when to ask for the lock, and when to let go of it.

    Args:
        listens: whether this relay uses NOTIFY at all.
    """

    listens: bool
    heavy: bool = False
    _look: float = _FIRST_LOOK

    def rest(self, wanted: float, arm: Arm, *, listening: bool) -> float:
        """Return how long to sleep, in seconds.

        Args:
            wanted: until the next thing that is known to be due.
            arm: state of the lock.
            listening: whether NOTIFYs arrive.
        """
        if self.heavy:
            return min(wanted, _HEAVY_LOOK)
        if not (self.listens and listening):
            return min(wanted, POLL_INTERVAL)
        if arm in (Arm.HELD, Arm.SPARE):
            self._look = _FIRST_LOOK
            return wanted
        look, self._look = self._look, min(self._look * 2, _LONGEST_LOOK)
        return min(wanted, look)

    def looked(self, claimed: int) -> bool:
        """Take in how many events a claim found; return whether to let go of the lock before publishing them."""
        if claimed:
            self._look = _FIRST_LOOK
        self.heavy = claimed > LIGHT_BATCH
        return self.heavy
