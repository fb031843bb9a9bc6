"""Order within a relay: an event of an aggregate is sent when the one before it is settled in its favour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.outcomes import Failed, Outcome, Published, Released

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbox_notify.batches import Ticket


class Lanes:
    """One lane per aggregate, over all batches that the relay has in hand. No I/O.

    Args:
        block: whether a failed event holds back its aggregate.
    """

    def __init__(self, *, block: bool) -> None:
        self._passing = (Published,) if block else (Published, Failed)
        self._last: dict[int, Ticket] = {}

    def admit(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Queue events in write order; return those that may be sent at once.

        An event behind one that did not get through is released on the spot.
        """
        free: list[Ticket] = []
        for ticket in tickets:
            key = ticket.event.ordering_key
            if key is None:
                free.append(ticket)
                continue
            ahead, self._last[key] = self._last.get(key), ticket
            if ahead is None or isinstance(ahead.outcome, self._passing):
                free.append(ticket)
            elif ahead.outcome is None:
                ahead.follower = ticket
            else:
                ticket.resolve(_behind(ahead))
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

    def forget(self, tickets: Iterable[Ticket]) -> None:
        """Drop a batch whose outcomes are written: from here on the table tells who waits for whom."""
        for ticket in tickets:
            key = ticket.event.ordering_key
            if key is not None and self._last.get(key) is ticket:
                del self._last[key]


def _behind(ahead: Ticket) -> Released:
    return Released(f"waits for event {ahead.event.id} of its aggregate")
