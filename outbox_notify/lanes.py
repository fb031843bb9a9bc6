"""Order within a relay: an event of an aggregate is sent when the one before it is settled in its favour."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from outbox_notify.outcomes import Failed, Outcome, Published, Released

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbox_notify.batches import Ticket


class Lanes:
    """One lane per aggregate, over all batches that the relay has in hand. No I/O.

    A claim does not see what this relay has in hand as an obstacle; the lanes are the obstacle. So an event that did
    not get through stays in its lane until no batch can enter any more whose claim was begun before the table told
    that it came back.

    Args:
        ordered: whether aggregates keep their order; without it every event is free.
        block: whether a failed event holds back its aggregate.
    """

    def __init__(self, *, ordered: bool, block: bool) -> None:
        self._ordered = ordered
        self._passing = (Published,) if block else (Published, Failed)
        self._last: dict[int, Ticket] = {}
        self._lined_up = 0
        self._entered = 0
        self._settled: list[Ticket] = []
        self._leaving: deque[tuple[int, list[Ticket]]] = deque()

    def line_up(self) -> int:
        """Return the number of a batch that was just claimed; batches enter in the order of their numbers."""
        self._lined_up += 1
        return self._lined_up

    def claiming(self) -> None:
        """Note that a claim begins: it, and every later one, sees in the table what is settled by now."""
        if self._settled:
            self._leaving.append((self._lined_up, self._settled))
            self._settled = []
        self._let_leave()

    def admit(self, number: int, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Queue the events of a batch in write order; return those that may be sent at once.

        An event behind one that did not get through is released on the spot.
        """
        self._entered = number
        free = [ticket for ticket in tickets if self._join(ticket)]
        self._let_leave()
        return free

    def resolve(self, ticket: Ticket, outcome: Outcome) -> list[Ticket]:
        """Record what became of an event; return those that may be sent now.

        When it did not get through, those that stand behind it are released.
        """
        ticket.resolve(outcome)
        ahead, follower = ticket, ticket.follower
        if follower is not None and isinstance(outcome, self._passing):
            return [follower]
        while follower is not None:
            follower.resolve(_behind(ahead))
            ahead, follower = follower, follower.follower
        return []

    def settled(self, tickets: Iterable[Ticket]) -> None:
        """Note that the outcomes of a batch are written."""
        self._settled += [ticket for ticket in tickets if ticket.event.ordering_key is not None]

    def _join(self, ticket: Ticket) -> bool:
        """Put an event at the end of its lane; return whether it may be sent at once."""
        key = ticket.event.ordering_key
        ahead = None
        if self._ordered and key is not None:
            ahead, self._last[key] = self._last.get(key), ticket
        if ticket.outcome is not None:
            return False
        # What came back and was claimed again finds itself, or those behind it, at the end of its lane.
        if ahead is None or ahead.event.id >= ticket.event.id or isinstance(ahead.outcome, self._passing):
            return True
        if ahead.outcome is None:
            ahead.follower = ticket
        else:
            ticket.resolve(_behind(ahead))
        return False

    def _let_leave(self) -> None:
        while self._leaving and self._leaving[0][0] <= self._entered:
            for ticket in self._leaving.popleft()[1]:
                key = ticket.event.ordering_key
                if key is not None and self._last.get(key) is ticket:
                    del self._last[key]


def _behind(ahead: Ticket) -> Released:
    return Released(f"waits for event {ahead.event.id} of its aggregate")
