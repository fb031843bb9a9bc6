"""What a failure means, and when to try again: pure policy over values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry

if TYPE_CHECKING:
    from random import Random

# JetStream's err_code values, by whose fault the refusal is. What is not listed is unknown, and counted.
_NOBODY = {
    10008,  # JetStream system temporarily unavailable
    10009,  # no suitable peers for placement
    10012,  # server is not a leader
    10158,  # a message with this id is being stored just now
}
_ROUTE = {
    10023,  # insufficient resources
    10028,  # maximum storage exceeded for this server
    10035,  # account not enabled for JetStream
    10039,  # JetStream not enabled for account
    10047,  # insufficient storage resources
    10059,  # stream not found
    10060,  # not the expected stream
    10076,  # JetStream not enabled
    10077,  # the store refused: stream full
    10109,  # stream is sealed
    10110,  # stream's purge not permitted, read-only
    10122,  # storage threshold reached
}
_EVENT = {
    10054,  # message size exceeds what the stream takes
    10097,  # headers too large
}


def judge(code: int, description: str, route: str) -> Outcome:
    """Return what a refusal by JetStream means for the event.

    Args:
        code: the `err_code` of the answer; 0 when there was none.
        description: what the server said.
        route: the subject of the event.
    """
    reason = f"{description} ({code})" if code else description
    if code in _NOBODY:
        return Released(reason)
    if code in _ROUTE:
        return Rested(route, reason)
    if code in _EVENT:
        return Failed(reason, counted=True)
    return Retry(reason)


def full_jitter(attempt: int, base: float, most: float, random: Random) -> float:
    """Return how many seconds to wait before the next attempt.

    Exponential backoff with full jitter, after Marc Brooker, "Exponential Backoff And Jitter" (AWS, 2015).

    Args:
        attempt: failed attempts so far, from 1.
        base: upper bound of the first wait, seconds.
        most: upper bound of any wait, seconds.
        random: source of randomness.
    """
    ceiling = most if attempt > 60 else min(most, base * 2.0 ** (attempt - 1))
    return random.uniform(0.0, ceiling)


class Backoff:
    """Growing waits between tries of something that is nobody's fault.

    Args:
        first: the first wait, seconds.
        most: the longest wait, seconds.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._next = first

    def next(self) -> float:
        """Return the wait before the next try, and double the one after it."""
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait

    def reset(self) -> None:
        """Start over: the last try went well."""
        self._next = self._first
