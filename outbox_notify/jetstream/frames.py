"""Events as they go on the wire: made into messages, a load at a time, and written in pieces."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

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


class Encoded(NamedTuple):
    """An event and its message."""

    ticket: Ticket
    message: Message


class Framed(NamedTuple):
    """An event as it goes on the wire, and the number that its answer carries."""

    ticket: Ticket
    number: int
    frame: bytes


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
                load.append(Encoded(ticket, message))
                size += message.size
        return load

    def with_followers(self, load: list[Encoded], max_payload: int) -> list[Encoded]:
        """Return a load and, as far as there is room, what waits in it: the next events of its aggregates, and so on.

        Those go along; nobody else sends them meanwhile. Rather than aggregate by aggregate they stand in rounds,
        which is close to the order in which they were written. One of which no message can be made stays behind, and
        what stands behind it: it must not fail before its turn, and let those pass while one ahead may come back.
        """
        size = sum(encoded.message.size for encoded in load)
        full = list(load)
        for ahead in full:  # grows as it is walked
            follower = ahead.ticket.follower
            if size >= _LOAD:
                break
            if follower is None or follower.outcome is not None or follower.event.tried:
                continue
            with contextlib.suppress(Exception):
                message = self._encoder.encode(follower.event, max_payload)
                follower.goes_along = True
                full.append(Encoded(follower, message))
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
    waiting = {encoded.ticket.follower for encoded in load}
    for encoded in load:
        encoded.ticket.goes_along = False
    return [encoded for encoded in load if encoded.ticket not in waiting and encoded.ticket.outcome is None]


def pieces(framed: Iterable[Framed]) -> Iterator[list[Framed]]:
    """Yield frames in their order, a piece at a time."""
    piece: list[Framed] = []
    size = 0
    for one in framed:
        piece.append(one)
        size += len(one.frame)
        if size >= _PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def late(piece: Iterable[Framed]) -> list[Ticket]:
    """Return the events whose lease has run out. Between this look at the clock and the socket nothing else is done."""
    now = lease_clock()
    return [framed.ticket for framed in piece if now >= framed.ticket.batch.expires_at]
