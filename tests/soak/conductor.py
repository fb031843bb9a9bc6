"""Carries out a plan: one fault after another in each lane, all lanes at once, in the main thread."""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.soak.attacks import ATTACKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.soak.plan import Fault
    from tests.soak.stage import Stage

_TICK = 0.2
# When a fault took longer than planned, the next one of its lane still leaves the relays a moment.
_LEAST_GAP = 0.5


@dataclass
class Strike:
    """A fault that was done.

    Args:
        fault: as planned.
        began: by the clock on the wall.
        ended: when it was undone; 0 before that.
    """

    fault: Fault
    began: float
    ended: float = 0.0


class Watcher(Protocol):
    """Is told how a soak goes on."""

    def struck(self, strike: Strike) -> None:
        """Take in that a fault begins, or has been undone."""

    def tick(self, strikes: Sequence[Strike]) -> None:
        """Take in that time passes."""


class Conductor:
    """Strikes as planned.

    Args:
        stage: what is struck.
        lanes: the faults of each lane.
        watcher: is told of each.
    """

    def __init__(self, stage: Stage, lanes: Sequence[Sequence[Fault]], watcher: Watcher) -> None:
        self._stage = stage
        self._lanes = lanes
        self._watcher = watcher
        self._began = time.monotonic()
        self._numbers = itertools.count()
        self._over = False
        self.strikes: list[Strike] = []

    def run(self, seconds: float) -> None:
        """Strike for so many seconds, then undo what is not undone."""
        self._began = time.monotonic()
        due = [(0.0, next(self._numbers), self._lane(faults)) for faults in self._lanes]
        while self._now() < seconds and due:
            if due[0][0] <= self._now():
                self._go_on(due)
            else:
                self._rest(due[0][0])
        self._over = True
        for _, _, lane in due:
            for wait in lane:
                time.sleep(min(wait, _TICK))

    def _go_on(self, due: list[tuple[float, int, Iterator[float]]]) -> None:
        """Let the lane go on whose time has come."""
        _, _, lane = heapq.heappop(due)
        wait = next(lane, None)
        if wait is not None:
            heapq.heappush(due, (self._now() + wait, next(self._numbers), lane))

    def _rest(self, until: float) -> None:
        self._stage.look_after_relays()
        self._watcher.tick(self.strikes)
        time.sleep(max(0.0, min(_TICK, until - self._now())))

    def _lane(self, faults: Sequence[Fault]) -> Iterator[float]:
        for fault in faults:
            yield max(_LEAST_GAP, fault.at - self._now())
            if self._over:
                return
            yield from self._strike(fault)

    def _strike(self, fault: Fault) -> Iterator[float]:
        strike = Strike(fault, time.time())
        self.strikes.append(strike)
        self._watcher.struck(strike)
        yield from ATTACKS[fault.kind](self._stage, fault)
        strike.ended = time.time()
        self._watcher.struck(strike)

    def _now(self) -> float:
        return time.monotonic() - self._began
