"""Events as they go on the wire: made into messages, a load at a time, and written in pieces."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeAlias

from outbox_notify.errors import InvalidEvent
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Retry

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator

    from outbox_notify.jetstream.messages import Encoder, Message
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.outcomes import Outcome

# As much as a slow link carries in a fraction of the time that an ack may take.
_LOAD = 256 * 1024
# What the server takes too slowly waits behind the last look at the clock: so it is little.
_PIECE = 128 * 1024


# An event and its message; an event as it goes on the wire, and the number that its answer carries. Plain tuples: there
# are tens of thousands a second of each.
Encoded: TypeAlias = "tuple[Ticket, Message]"
Framed: TypeAlias = "tuple[Ticket, int, bytes]"


class Loader:
    """Makes messages of events.

    Args:
        encoder: builds them.
        on_outcome: told of events that must not be sent.
    """

    def __init__(self, encoder: Encoder, on_outcome: Callable[[Ticket, Outcome], None]) -> None:
        self._encoder = encoder
        self._on_outcome = on_outcome

    def load(self, tickets: deque[Ticket], max_payload: int) -> list[Encoded]:
        """Take events, in their order, until they make a load; the last may go beyond it.

        Args:
            tickets: what is to be sent; what is taken leaves it.
            max_payload: what the server takes, header block and body together, bytes.
        """
        load: list[Encoded] = []
        size = 0
        while tickets and size < _LOAD:
            ticket = tickets.popleft()
            message = self._message(ticket, max_payload) if ticket.outcome is None else None
            if message is not None:
                load.append((ticket, message))
                size += message.size
        return load

    def with_followers(self, load: list[Encoded], max_payload: int) -> list[Encoded]:
        """Return a load and, as far as there is room, what waits in it: the next events of its aggregates, and so on.

        Those go along; nobody else sends them meanwhile. Rather than aggregate by aggregate they stand in rounds,
        which is close to the order in which they were written. One of which no message can be made stays behind, and
        what stands behind it: it must not fail before its turn, and let those pass while one ahead may come back.
        """
        size = sum(message.size for _, message in load)
        full = list(load)
        for ahead, _ in full:  # grows as it is walked
            follower = ahead.follower
            if size >= _LOAD:
                break
            if follower is None or follower.outcome is not None or follower.event.tried:
                continue
            with contextlib.suppress(Exception):
                message = self._encoder.encode(follower.event, max_payload)
                follower.goes_along = True
                full.append((follower, message))
                size += message.size
        return full

    def _message(self, ticket: Ticket, max_payload: int) -> Message | None:
        try:
            return self._encoder.encode(ticket.event, max_payload)
        except InvalidEvent as error:
            self._on_outcome(ticket, Failed(str(error)))
        except Exception as error:  # noqa: BLE001  # an event that we cannot cope with must not hold up the others
            self._on_outcome(ticket, Retry(f"no message can be made of it: {type(error).__name__}"))
        return None


def first_of_each(load: Iterable[Encoded]) -> list[Encoded]:
    """Return those events of a load that wait for none of the others; the others are sent when their turn comes."""
    load = list(load)
    waiting = {ticket.follower for ticket, _ in load}
    for ticket, _ in load:
        ticket.goes_along = False
    return [encoded for encoded in load if encoded[0] not in waiting and encoded[0].outcome is None]


def pieces(framed: Iterable[Framed]) -> Iterator[list[Framed]]:
    """Yield frames in their order, a piece at a time."""
    piece: list[Framed] = []
    size = 0
    for one in framed:
        piece.append(one)
        size += len(one[2])
        if size >= _PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def late(piece: Iterable[Framed]) -> list[Ticket]:
    """Return the events whose lease has run out. Between this look at the clock and the socket nothing else is done."""
    now = lease_clock()
    return [ticket for ticket, _, _ in piece if now >= ticket.batch.expires_at]
