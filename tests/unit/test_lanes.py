"""Order in one relay's hands, whatever becomes of its events and in whatever order its batches are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outbox_notify.relay.lanes import Lanes
from outbox_notify.relay.outcomes import Failed, Released, Rested, Retry
from tests.support.fakes import ACKED, batch_of, event

if TYPE_CHECKING:
    from outbox_notify.relay.batches import Batch, Ticket
    from outbox_notify.relay.claims import ClaimedEvent

SKIP, BLOCK = {"ordered": True, "block": False}, {"ordered": True, "block": True}


def enter(lanes: Lanes, *events: ClaimedEvent) -> tuple[Batch, list[int]]:
    """Claim and admit a batch; return it with the ids that may be sent."""
    lanes.claiming()
    batch = batch_of(*events)
    return batch, ids(lanes.admit(lanes.line_up(), batch.tickets))


def ids(tickets: list[Ticket]) -> list[int]:
    return [ticket.event.id for ticket in tickets]


def test_events_without_an_aggregate_are_all_free() -> None:
    assert enter(Lanes(**SKIP), event(1), event(2))[1] == [1, 2]


def test_only_the_first_of_each_aggregate_is_free() -> None:
    assert enter(Lanes(**SKIP), event(1, 7), event(2, 8), event(3, 7), event(4, 8))[1] == [1, 2]


def test_without_ordering_all_are_free() -> None:
    assert enter(Lanes(ordered=False, block=False), event(1, 7), event(2, 7))[1] == [1, 2]


def test_ack_frees_the_next_one() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7), event(2, 7), event(3, 7))
    first, second, third = batch.tickets
    assert lanes.resolve(first, ACKED) == [second]
    assert lanes.resolve(second, ACKED) == [third]
    assert lanes.resolve(third, ACKED) == []


def test_order_holds_across_batches() -> None:
    lanes = Lanes(**SKIP)
    (first,), (second,) = enter(lanes, event(1, 7))[0].tickets, enter(lanes, event(2, 7))[0].tickets
    assert second.outcome is None
    assert lanes.resolve(first, ACKED) == [second]


def test_event_after_an_acked_one_is_free() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7))
    lanes.resolve(batch.tickets[0], ACKED)
    assert enter(lanes, event(2, 7))[1] == [2]


def test_followers_of_what_came_back_are_released_in_every_batch() -> None:
    for outcome in (Released("away"), Rested("acme.stock.moved", "full"), Retry("no")):
        lanes = Lanes(**SKIP)
        (first, second), (third,) = (
            enter(lanes, event(1, 7), event(2, 7))[0].tickets,
            enter(lanes, event(3, 7))[0].tickets,
        )
        assert lanes.resolve(first, outcome) == []
        assert second.outcome == Released("waits for event 1 of its aggregate")
        assert third.outcome == Released("waits for event 2 of its aggregate")
        assert third.batch.done.is_set()


def test_event_that_cannot_even_be_sent_lets_the_rest_pass_under_skip() -> None:
    lanes = Lanes(**SKIP)
    first, second = enter(lanes, event(1, 7), event(2, 7))[0].tickets
    assert lanes.resolve(first, Failed("too large")) == [second]


@pytest.mark.parametrize(
    "refusal",
    [Failed("too large", counted=True), Failed("tried ten times", counted=True, certain=False)],
    ids=["for-good", "last-attempt"],
)
def test_event_that_jetstream_refused_lets_the_rest_pass_once_that_is_written(refusal: Failed) -> None:
    lanes = Lanes(**SKIP)
    first, second = enter(lanes, event(1, 7), event(2, 7))[0].tickets
    assert lanes.resolve(first, refusal) == []
    assert second.outcome == Released("waits for event 1 of its aggregate")
    assert lanes.claiming() == {7}
    lanes.settled([first, second])
    assert enter(lanes, event(2, 7), event(3, 7))[1] == [2]


def test_failed_event_holds_the_rest_back_under_block() -> None:
    lanes = Lanes(**BLOCK)
    first, second = enter(lanes, event(1, 7), event(2, 7))[0].tickets
    assert lanes.resolve(first, Failed("too large")) == []
    assert isinstance(second.outcome, Released)


def test_each_outcome_counts_once_whichever_of_two_neighbours_comes_back_first() -> None:
    lanes = Lanes(**SKIP)
    (first, second), (third, other) = (
        enter(lanes, event(1, 7), event(2, 7))[0].tickets,
        enter(lanes, event(3, 7), event(4, 8))[0].tickets,
    )
    lanes.resolve(second, Released("no answer"))
    lanes.resolve(first, Released("no answer"))
    assert third.outcome == Released("waits for event 2 of its aggregate")
    assert other.batch.under_way == 1
    assert not other.batch.done.is_set()


def test_claims_leave_an_aggregate_alone_until_what_came_back_is_written() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7), event(2, 8))
    lanes.resolve(batch.tickets[0], Released("away"))
    assert lanes.claiming() == {7}
    lanes.resolve(batch.tickets[1], ACKED)
    lanes.settled(batch.tickets)
    assert lanes.claiming() == set()


def test_batch_whose_claim_began_before_an_event_came_back_waits_for_it() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7))
    lanes.claiming()
    lanes.resolve(batch.tickets[0], Released("away"))
    lanes.settled(batch.tickets)
    late = batch_of(event(2, 7))
    number = lanes.line_up()
    lanes.claiming()
    assert lanes.admit(number, late.tickets) == []
    assert late.tickets[0].outcome == Released("waits for event 1 of its aggregate")


def test_event_that_came_back_may_go_again_once_it_is_claimed_again() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7), event(2, 7))
    lanes.resolve(batch.tickets[0], Released("away"))
    lanes.settled(batch.tickets)
    again, free = enter(lanes, event(1, 7), event(2, 7), event(3, 7))
    assert free == [1]
    assert lanes.resolve(again.tickets[0], ACKED) == [again.tickets[1]]
    assert lanes.resolve(again.tickets[1], ACKED) == [again.tickets[2]]


def test_later_batch_that_is_settled_first_does_not_overtake() -> None:
    lanes = Lanes(**SKIP)
    early, _ = enter(lanes, event(1, 7), event(10, 9))
    late, _ = enter(lanes, event(2, 7))
    lanes.resolve(early.tickets[0], Released("away"))
    lanes.settled(late.tickets)
    # The early batch waits for event 10, so event 1 is still on its way back: 2 must not go again before it.
    assert lanes.claiming() == {7}
    again = batch_of(event(2, 7))
    assert lanes.admit(lanes.line_up(), again.tickets) == []


def test_scheduled_event_that_came_due_does_not_hide_what_came_back_behind_it() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(7, 7))
    lanes.claiming()
    lanes.resolve(batch.tickets[0], Released("away"))
    late = batch_of(event(5, 7), event(9, 7))
    assert ids(lanes.admit(lanes.line_up(), late.tickets)) == [5]
    assert late.tickets[1].outcome == Released("waits for event 7 of its aggregate")


def test_nothing_is_remembered_of_aggregates_that_are_done() -> None:
    lanes = Lanes(**SKIP)
    for outcome in (ACKED, Released("away")):
        batch, _ = enter(lanes, *(event(n, n) for n in range(1, 50)))
        for ticket in batch.tickets:
            lanes.resolve(ticket, outcome)
        lanes.settled(batch.tickets)
        enter(lanes)
    lanes.claiming()
    for memory in (lanes._last, lanes._returned, lanes._unwritten, lanes._leaving):
        assert not memory


def test_event_claimed_again_by_a_claim_that_began_before_this_was_known_is_not_behind_itself() -> None:
    lanes = Lanes(**SKIP)
    batch, _ = enter(lanes, event(1, 7), event(2, 7))
    lanes.resolve(batch.tickets[0], Released("away"))
    lanes.claiming()
    lanes.settled(batch.tickets)
    again = batch_of(event(1, 7), event(2, 7))
    assert ids(lanes.admit(lanes.line_up(), again.tickets)) == [1]
    assert again.tickets[1].outcome is None
