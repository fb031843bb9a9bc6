"""Events that are sent one by one: each asks for an ack of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from outbox_notify.jetstream.client import write_frames
from outbox_notify.jetstream.frames import late, pieces
from outbox_notify.relay.batches import LEASE_RAN_OUT
from outbox_notify.relay.outcomes import Released

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from outbox_notify.jetstream.frames import Encoded, Framed
    from outbox_notify.jetstream.session import Session
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.outcomes import Outcome


class OneByOne:
    """Sends events and remembers by a number which of them wait for their ack.

    Args:
        session: the connection.
        on_outcome: told of events that were not sent, since their lease had run out.
    """

    def __init__(self, session: Session, on_outcome: Callable[[Ticket, Outcome], None]) -> None:
        self._session = session
        self._on_outcome = on_outcome
        self._waiting: dict[int, Ticket] = {}
        self._number = 0

    async def send(self, load: Iterable[Encoded]) -> None:
        """Write events, in their order and as fast as the server takes them."""
        for piece in pieces([self._framed(encoded) for encoded in load]):
            if too_late := set(late(piece)):
                for ticket in too_late:
                    self._on_outcome(ticket, Released(LEASE_RAN_OUT))
            await self._write([framed for framed in piece if framed[0] not in too_late])

    async def _write(self, piece: list[Framed]) -> None:
        sent_at = time.monotonic()
        for ticket, number, _ in piece:
            ticket.sent_at = sent_at
            self._waiting[number] = ticket
        if piece:
            await write_frames(self._session.client, [frame for _, _, frame in piece])

    def answered(self, number: str) -> Ticket | None:
        """Return which event an answer is for, once; whoever knows the inbox may write to it whatever they like."""
        return self._waiting.pop(int(number), None) if number.isdecimal() else None

    def give_up(self, tickets: Collection[Ticket]) -> set[Ticket]:
        """Wait no more for these; return those of them that were waited for."""
        numbers = [number for number, ticket in self._waiting.items() if ticket in tickets]
        return {self._waiting.pop(number) for number in numbers}

    @property
    def waiting(self) -> list[Ticket]:
        """The events whose ack is still to come."""
        return list(self._waiting.values())

    def _framed(self, encoded: Encoded) -> Framed:
        ticket, message = encoded
        self._number += 1
        return ticket, self._number, message.frame(f"{self._session.inbox}{self._number}")
