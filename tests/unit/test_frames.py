"""Events as they go on the wire: in their order, in pieces, and past those of which no message can be made."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

from outbox_notify.jetstream.frames import Loader, first_of_each, pieces
from outbox_notify.jetstream.messages import Encoder, Message
from outbox_notify.relay.outcomes import Failed, Outcome, Released, Retry
from tests.support.publishing import ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.relay.batches import Ticket
    from outbox_notify.relay.claims import ClaimedEvent


class Stumbling(Encoder):
    """An encoder with a mistake that nobody has found yet."""

    def encode(self, event: ClaimedEvent, max_payload: int) -> Message:
        if event.body == b"stumble":
            raise ZeroDivisionError
        return super().encode(event, max_payload)


def loader(
    encoder: Encoder | None = None, on_outcome: Callable[[Ticket, Outcome], None] | None = None
) -> Loader:
    return Loader(encoder or Encoder("events", "us"), on_outcome or _nothing)


def test_pieces_keep_the_order() -> None:
    framed = [(ticket(), number, b"x" * 50_000) for number in range(7)]
    found = list(pieces(framed))
    assert [len(piece) for piece in found] == [3, 3, 1]
    assert [one for piece in found for one in piece] == framed


def test_load_is_taken_in_order_until_it_is_large_enough() -> None:
    sent = [ticket(body=b"x" * 100_000) for _ in range(5)]
    left = deque(sent)
    load = loader().load(left, 1_000_000)
    assert [sent_one for sent_one, _ in load] == sent[:3]
    assert list(left) == sent[3:]


def test_event_that_cannot_become_a_message_holds_up_no_other() -> None:
    outcomes: dict[Ticket, Outcome] = {}
    invalid, stumbling, good = ticket(tenant_id="a b"), ticket(body=b"stumble"), ticket()
    makes = loader(Stumbling("events", "us"), outcomes.__setitem__)
    assert [sent_one for sent_one, _ in makes.load(deque([invalid, stumbling, good]), 1_000_000)] == [good]
    assert isinstance(outcomes[invalid], Failed)
    assert outcomes[stumbling] == Retry("no message can be made of it: ZeroDivisionError")


def chain(length: int, **columns: Any) -> list[Ticket]:
    """Return events of one aggregate, each behind the one before."""
    tickets = [ticket(**columns) for _ in range(length)]
    for ahead, behind in itertools.pairwise(tickets):
        ahead.follower = behind
    return tickets


def test_what_waits_in_a_load_goes_along_in_rounds() -> None:
    makes, one, two = loader(), chain(3), chain(2)
    full = makes.with_followers(makes.load(deque([one[0], two[0]]), 1_000_000), 1_000_000)
    assert [sent_one for sent_one, _ in full] == [one[0], two[0], one[1], two[1], one[2]]
    assert [each.goes_along for each in (*one, *two)] == [False, True, True, False, True]


def test_followers_go_along_only_as_far_as_there_is_room() -> None:
    makes, tickets = loader(), chain(5, body=b"x" * 100_000)
    full = makes.with_followers(makes.load(deque(tickets[:1]), 1_000_000), 1_000_000)
    assert [sent_one for sent_one, _ in full] == tickets[:3]


def test_what_was_tried_or_came_back_does_not_go_along() -> None:
    makes, tickets = loader(), chain(3)
    tickets[1].event.tried = True
    other = chain(2)
    other[1].outcome = Released("away")
    full = makes.with_followers(makes.load(deque([tickets[0], other[0]]), 1_000_000), 1_000_000)
    assert [sent_one for sent_one, _ in full] == [tickets[0], other[0]]


def test_what_cannot_become_a_message_does_not_fail_before_its_turn() -> None:
    outcomes: dict[Ticket, Outcome] = {}
    makes, tickets, stumbling = loader(Stumbling("events", "us"), outcomes.__setitem__), chain(3), chain(3)
    tickets[1].event.tenant_id = "a b"
    stumbling[1].event.body = b"stumble"
    full = makes.with_followers(makes.load(deque([tickets[0], stumbling[0]]), 1_000_000), 1_000_000)
    assert [sent_one for sent_one, _ in full] == [tickets[0], stumbling[0]]
    assert not any(one.goes_along for one in (*tickets, *stumbling))
    assert outcomes == {}


def test_what_is_left_of_a_load_goes_in_turns_again() -> None:
    makes, tickets = loader(), chain(3)
    full = makes.with_followers(makes.load(deque(tickets[:1]), 1_000_000), 1_000_000)
    assert [sent_one for sent_one, _ in first_of_each(full[1:])] == [tickets[1]]
    assert not any(one.goes_along for one in tickets)


def _nothing(_ticket: Ticket, _outcome: Outcome) -> None:
    raise AssertionError
