"""Routes that rest: subjects which the server refuses, through no fault of the events."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST_REST = 0.5
_LONGEST_REST = 15.0
# A route that was tried again and has not been heard of since: it has no events any more.
_FORGET_AFTER = 600.0


@dataclass(slots=True)
class Rest:
    """One resting route.

    Args:
        reason: what the server said.
        until: when it may be tried again, on the clock of the caller.
        wait: how long it rests this time, seconds.
    """

    reason: str
    until: float
    wait: float


class Routes:
    """Which routes rest, why, and until when. Time is an argument, in seconds of any steady clock."""

    def __init__(self) -> None:
        self._resting: dict[str, Rest] = {}
        self._tried_again: dict[str, Rest] = {}

    def rest(self, route: str, reason: str, now: float) -> bool:
        """Let a route rest, twice as long each time in a row; return whether it was not resting before."""
        known = self._resting.get(route)
        if known is not None:
            return False
        before = self._tried_again.pop(route, None)
        wait = min(before.wait * 2, _LONGEST_REST) if before else _FIRST_REST
        self._resting[route] = Rest(reason, now + wait, wait)
        return before is None

    def published(self, route: str) -> bool:
        """Forget a route that took an event; return whether it had been resting."""
        if not self._tried_again and not self._resting:
            return False
        rested = self._resting.pop(route, None)
        return self._tried_again.pop(route, None) is not None or rested is not None

    def rouse(self, now: float) -> bool:
        """Let routes whose rest is over be tried again; return whether there were any."""
        over = [route for route, rest in self._resting.items() if rest.until <= now]
        if over:
            since = now - _FORGET_AFTER
            self._tried_again = {
                route: rest for route, rest in self._tried_again.items() if rest.until > since
            }
        for route in over:
            self._tried_again[route] = self._resting.pop(route)
        return bool(over)

    def next_rouse(self, now: float) -> float | None:
        """Return in how many seconds the first rest is over; None when nothing rests."""
        if not self._resting:
            return None
        return max(0.0, min(rest.until for rest in self._resting.values()) - now)

    @property
    def resting(self) -> dict[str, Rest]:
        """The routes that rest now."""
        return self._resting

    def refused(self, now: float) -> dict[str, str]:
        """Return the routes that have taken no event since they began to rest, and why; some are just being tried."""
        known = {**self._tried_again, **self._resting}
        return {route: rest.reason for route, rest in known.items() if rest.until > now - _FORGET_AFTER}
