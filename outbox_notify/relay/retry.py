"""What a failure means, and when to try again: pure policy over values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry

if TYPE_CHECKING:
    from random import Random

# JetStream's err_code values, by whose fault the refusal is; the texts are those of its errors.json, 2.15. What is not
# listed is unknown, and counted: among it what only a header could bring about that the encoder never sends.
_NOBODY = {
    10008,  # JetStream system temporarily unavailable
    10009,  # JetStream cluster can not handle request: not the leader
    10063,  # expected stream sequence does not match: a replica catches up
    10158,  # duplicate message id is in process
    10163,  # expected last sequence per subject temporarily unavailable
    10167,  # too many requests: more than the stream can take in at once
    10176,  # atomic publish batch is incomplete: so a change of leader ends it
    10208,  # batch publish ID unknown: likewise
    10210,  # atomic publish too many inflight
    10211,  # batch publish too many inflight
}
_ROUTE = {
    10002,  # resource limits exceeded for account
    10023,  # insufficient resources
    10028,  # insufficient memory resources available
    10035,  # account not found
    10039,  # JetStream not enabled for account
    10047,  # insufficient storage resources available
    10053,  # general stream limits exceeded
    10059,  # stream not found
    10060,  # expected stream does not match
    10076,  # JetStream not enabled
    10077,  # storing failed: the stream is full, closed, or its disk is
    10096,  # stream not valid
    10109,  # invalid operation on sealed stream
    10118,  # stream is offline
    10120,  # no JetStream default or applicable tiered limit present
    10122,  # stream max bytes exceeds account limit max stream bytes
    10169,  # message counter increment is missing: the stream counts, and takes no events
    10174,  # atomic publish is disabled
    10194,  # stream is offline, with the reason
    10205,  # batch publish is disabled
}
_EVENT = {
    10054,  # message size exceeds maximum allowed
    10097,  # header size exceeds maximum allowed of 64k
}
# Storing fails for many reasons under one code; this one is the event's own.
_STORE_FAILED, _TOO_LARGE = 10077, "message too large"
# HTTP's words for what passes by itself: also of codes that are newer than this list, or from before there were any.
_TEMPORARY = {429, 503}
# How reasons end that came with a code, and how the others begin for which a route rests.
_CODE = re.compile(r"\((\d+)\)$")
_ROUTE_SAYS = (
    "publish is not permitted",
    "the answer is not an ack",
    "the ack says that nothing",
    "the ack is not from",
)


def judge(code: int, description: str, route: str, status: int = 0) -> Outcome:
    """Return what a refusal by JetStream means for the event.

    Args:
        code: the `err_code` of the answer; 0 when there was none.
        description: what the server said.
        route: the subject of the event.
        status: the HTTP-like `code` of the answer; 0 when there was none.
    """
    reason = f"{description} ({code or status})" if code or status else description
    if code in _EVENT or (code == _STORE_FAILED and description == _TOO_LARGE):
        return Failed(reason, counted=True)
    if code in _NOBODY:
        return Released(reason)
    if code in _ROUTE or status in _TEMPORARY:
        return Rested(route, reason)
    return Retry(reason)


def lets_route_rest(reason: str) -> bool:
    """Return whether this is a reason, as an event keeps it, for which its route rests."""
    code = _CODE.search(reason)
    if code is None:
        return reason.startswith(_ROUTE_SAYS)
    return int(code[1]) in _ROUTE | _TEMPORARY


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
