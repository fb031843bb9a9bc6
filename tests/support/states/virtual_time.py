"""An event loop whose clock stands still until it is told to go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_ENDLESS = 100_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, and then waits for the next step; what waits for a time waits until `pass_time`."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        # What is due now is due: after hours of virtual time, asyncio's nanosecond is lost in rounding.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the time, in seconds."""
        return self._now

    # For modules that ask the module `time`: it stands in for that too.
    CLOCK_BOOTTIME = CLOCK_MONOTONIC = 0

    def monotonic(self) -> float:
        """Return the time, in seconds."""
        return self._now

    def clock_gettime(self, clock: int) -> float:
        """Return the time, in seconds."""
        del clock
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Put the clock forward, and run what has come due and everything that follows from it."""
        self._now += seconds
        self.until_idle()

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Run a step to its end, and everything that follows from it."""
        result = self.run_until_complete(step)
        self.until_idle()
        return result

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function from within the loop, and run everything that follows from it."""

        async def step() -> T:
            return function(*arguments)

        result: T = self.do(step())
        return result

    def until_idle(self) -> None:
        """Run until everything waits for a time, or for a step."""
        for _ in range(_ENDLESS):
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready and not self._is_due():  # type: ignore[attr-defined]  # asyncio has no public way to ask
                return
        raise AssertionError("something runs for ever")

    def _is_due(self) -> bool:
        timers = self._scheduled  # type: ignore[attr-defined]  # as above
        return bool(timers) and timers[0].when() <= self._now
