"""Order within a relay: an event of an aggregate is sent when the one before it is settled in its favour."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbox_notify.relay.batches import Ticket


class Lanes:
    """One lane per aggregate, over all batches that the relay has in hand. No I/O.

    A claim does not see what this relay has in hand as an obstacle; the lanes are the obstacle. An event that came
    back keeps claims off its aggregate until that is written: then the table tells. It stays in its lane even longer,
    until no batch can enter any more whose claim was begun before that.

    Args:
        ordered: whether aggregates keep their order; without it every event is free.
        block: whether a failed event holds back its aggregate.
    """

    def __init__(self, *, ordered: bool, block: bool) -> None:
        self._ordered = ordered
        self._block = block
        self._last: dict[int | None, Ticket] = {}
        self._returned: dict[int | None, dict[int, Ticket]] = {}
        self._unwritten: set[Ticket] = set()
        self._written: list[Ticket] = []
        self._leaving: deque[tuple[int, list[Ticket]]] = deque()
        self._lined_up = 0
        self._entered = 0

    def line_up(self) -> int:
        """Return the number of a batch that was just claimed; batches enter in the order of their numbers."""
        self._lined_up += 1
        return self._lined_up

    def claiming(self) -> set[int]:
        """Note that a claim begins; return the keys that it has to leave alone.

        It, and every later one, sees in the table what is settled by now.
        """
        if self._written:
            self._leaving.append((self._lined_up, self._written))
            self._written = []
        self._let_leave()
        return {key for ticket in self._unwritten if (key := ticket.event.ordering_key) is not None}

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
        follower = ticket.follower
        if self._lets_pass(outcome):
            self._step_out(ticket)
            waits = follower is not None and follower.outcome is None and not follower.goes_along
            return [follower] if follower is not None and waits else []
        self._return(ticket)
        while follower is not None and follower.outcome is None:
            follower.resolve(_behind(ticket))
            self._return(follower)
            ticket, follower = follower, follower.follower
        return []

    def settled(self, tickets: Iterable[Ticket]) -> None:
        """Note that the outcomes of a batch are written."""
        written = self._unwritten.intersection(tickets)
        self._unwritten -= written
        self._written += written

    def _join(self, ticket: Ticket) -> bool:
        """Put an event at the end of its lane; return whether it may be sent at once."""
        key = ticket.event.ordering_key
        if not self._ordered or key is None:
            return ticket.outcome is None
        if key in self._returned:
            self._look_for_obstacle(ticket, self._returned[key])
        if ticket.outcome is not None:
            self._return(ticket)
            return False
        ahead, self._last[key] = self._last.get(key), ticket
        if ahead is not None:
            ahead.follower = ticket
        return ahead is None

    def _look_for_obstacle(self, ticket: Ticket, returned: dict[int, Ticket]) -> None:
        # What came back and was claimed again is its own obstacle no more.
        returned.pop(ticket.event.id, None)
        obstacle = next((other for other in returned.values() if other.event.id < ticket.event.id), None)
        if obstacle is not None and ticket.outcome is None:
            ticket.resolve(_behind(obstacle))

    def _lets_pass(self, outcome: Outcome) -> bool:
        """Return whether later events of the aggregate may be sent.

        A failure that JetStream had a part in lets them pass only once it is written, by way of a new claim: were
        this relay to die before that, another one would try again, and might succeed behind them.
        """
        if isinstance(outcome, Failed):
            return not outcome.counted and not self._block
        return isinstance(outcome, Published)

    def _return(self, ticket: Ticket) -> None:
        key = ticket.event.ordering_key
        if self._ordered and key is not None:
            self._step_out(ticket)
            self._returned.setdefault(key, {})[ticket.event.id] = ticket
            self._unwritten.add(ticket)

    def _step_out(self, ticket: Ticket) -> None:
        if self._last.get(ticket.event.ordering_key) is ticket:
            del self._last[ticket.event.ordering_key]

    def _let_leave(self) -> None:
        while self._leaving and self._leaving[0][0] <= self._entered:
            for ticket in self._leaving.popleft()[1]:
                key = ticket.event.ordering_key
                returned = self._returned.get(key, {})
                if returned.get(ticket.event.id) is ticket:
                    del returned[ticket.event.id]
                if not returned:
                    self._returned.pop(key, None)


def _behind(ahead: Ticket) -> Released:
    return Released(f"waits for event {ahead.event.id} of its aggregate")
