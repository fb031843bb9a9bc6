"""Events as they go on the wire: numbered, so that an answer is known again, and in pieces of some size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from outbox_notify.errors import InvalidEvent
from outbox_notify.relay.outcomes import Failed, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.jetstream.messages import Encoder
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.outcomes import Outcome

# What the server takes too slowly waits behind the last look at the clock: so it is little.
_PIECE = 128 * 1024


class Framed(NamedTuple):
    """An event as it goes on the wire, and the number that its answer carries."""

    ticket: Ticket
    number: int
    frame: bytes


class Framer:
    """Makes frames of events.

    Args:
        encoder: builds messages.
        on_outcome: told of events that must not be sent.
    """

    def __init__(self, encoder: Encoder, on_outcome: Callable[[Ticket, Outcome], None]) -> None:
        self._encoder = encoder
        self._on_outcome = on_outcome
        self._number = 0

    def pieces(self, tickets: Iterator[Ticket], inbox: str, max_payload: int) -> Iterator[list[Framed]]:
        """Yield the frames of events in their order, a piece at a time; an event is taken when its piece is made.

        Args:
            tickets: what is to be sent.
            inbox: where answers go, followed by the number.
            max_payload: what the server takes, header block and body together, bytes.
        """
        piece: list[Framed] = []
        size = 0
        for ticket in tickets:
            frame = self._frame(ticket, f"{inbox}{self._number + 1}", max_payload)
            if frame is None:
                continue
            self._number += 1
            piece.append(Framed(ticket, self._number, frame))
            size += len(frame)
            if size >= _PIECE:
                yield piece
                piece, size = [], 0
        if piece:
            yield piece

    def _frame(self, ticket: Ticket, reply: str, max_payload: int) -> bytes | None:
        try:
            return self._encoder.encode(ticket.event, max_payload).frame(reply)
        except InvalidEvent as error:
            self._on_outcome(ticket, Failed(str(error)))
        except Exception as error:  # noqa: BLE001  # an event that we cannot cope with must not hold up the others
            self._on_outcome(ticket, Retry(f"no message can be made of it: {type(error).__name__}"))
        return None
