"""Events as they go on the wire: in their order, in pieces, and past those of which no message can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.jetstream.frames import Framer
from outbox_notify.jetstream.messages import Encoder, Message
from outbox_notify.relay.outcomes import Failed, Outcome, Retry
from tests.support.publishing import ticket

if TYPE_CHECKING:
    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.claims import ClaimedEvent


class Stumbling(Encoder):
    """An encoder with a mistake that nobody has found yet."""

    def encode(self, event: ClaimedEvent, max_payload: int) -> Message:
        if event.body == b"stumble":
            raise ZeroDivisionError
        return super().encode(event, max_payload)


def test_pieces_keep_the_order_and_number_what_they_hold() -> None:
    sent = [ticket(body=b"x" * 50_000) for _ in range(7)]
    pieces = list(Framer(Encoder("events", "us"), _nothing).pieces(iter(sent), "inbox.", 1_000_000))
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert [framed.ticket for piece in pieces for framed in piece] == sent
    assert [framed.number for piece in pieces for framed in piece] == [1, 2, 3, 4, 5, 6, 7]
    assert all(f" inbox.{framed.number} ".encode() in framed.frame for piece in pieces for framed in piece)


def test_event_is_taken_when_its_piece_is_made() -> None:
    sent = iter([ticket(body=b"x" * 200_000) for _ in range(3)])
    pieces = Framer(Encoder("events", "us"), _nothing).pieces(sent, "inbox.", 1_000_000)
    next(pieces)
    assert len(list(sent)) == 2


def test_event_that_cannot_become_a_message_holds_up_no_other() -> None:
    outcomes: dict[Ticket, Outcome] = {}
    invalid, stumbling, good = ticket(tenant_id="a b"), ticket(body=b"stumble"), ticket()
    framer = Framer(Stumbling("events", "us"), outcomes.__setitem__)
    (piece,) = framer.pieces(iter([invalid, stumbling, good]), "inbox.", 1_000_000)
    assert [framed.ticket for framed in piece] == [good]
    assert isinstance(outcomes[invalid], Failed)
    assert outcomes[stumbling] == Retry("no message can be made of it: ZeroDivisionError")


def _nothing(_ticket: Ticket, _outcome: Outcome) -> None:
    raise AssertionError
