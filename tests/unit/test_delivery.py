"""A batch from its claim to its settlement, whatever the table and JetStream do meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

from outbox_notify.errors import OutboxError
from outbox_notify.relay import delivery as module
from outbox_notify.relay.batches import Batch
from outbox_notify.relay.delivery import Delivery
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Outcome, Released, Rested, Retry
from tests.support.fakes import ACKED, FakeOutbox, FakeSender, Notes, event, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from outbox_notify.relay.claims import ClaimedEvent

pytestmark = pytest.mark.anyio

AWAY = Released("away")


class Rig:
    """A delivery between a fake table and a fake JetStream."""

    def __init__(self, *, publish_timeout: float = 10.0, max_attempts: int = 3, block: bool = False) -> None:
        self.outbox, self.sender, self.notes = FakeOutbox(), FakeSender(), Notes()
        self.heard: list[tuple[int, Outcome]] = []
        self.delivery = Delivery(
            self.outbox,
            self.sender,
            self.notes,
            lambda row, outcome: self.heard.append((row.id, outcome)),
            publish_timeout=publish_timeout,
            max_attempts=max_attempts,
            ordered=True,
            block=block,
        )
        self.sender.on_outcome = self.delivery.resolve

    def claimed(self, *events: ClaimedEvent, lease: float = 30.0) -> Batch:
        """Claim a batch and line it up."""
        self.delivery.claiming()
        batch = Batch(self.outbox.lease(*events), len(events), lease_clock() + lease)
        self.delivery.line_up(batch)
        return batch

    async def carry(self, *batches: Batch) -> None:
        """Carry batches to their end, all at once."""
        async with anyio.create_task_group() as sending:
            sending.start_soon(self.delivery.send)
            async with anyio.create_task_group() as carrying:
                for batch in batches:
                    carrying.start_soon(self.delivery.carry, batch)
            sending.cancel_scope.cancel()

    async def carry_until(self, fact: Callable[[], bool], *batches: Batch) -> None:
        """Carry batches until a fact holds; then stop at once."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.carry, *batches)
            await until(fact)
            tasks.cancel_scope.cancel()


async def test_acked_events_are_marked_published_and_their_outcomes_heard() -> None:
    rig = Rig()
    await rig.carry(rig.claimed(event(1), event(2)))
    assert rig.outbox.settled == {1: ACKED, 2: ACKED}
    assert rig.heard == [(1, ACKED), (2, ACKED)]
    (settled,) = rig.notes.of("batch.settled")
    assert settled["overtaken"] == 0


async def test_nothing_is_written_before_it_is_answered() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: None
    batch = rig.claimed(event(1), event(2))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, batch)
        await until(lambda: len(rig.sender.sent) == 2)
        await anyio.wait_all_tasks_blocked()
        assert "settle" not in rig.outbox.calls
        rig.sender.answer(1)
        rig.sender.answer(2)
    assert rig.outbox.calls.count("settle") == 1


async def test_next_event_of_an_aggregate_is_sent_when_the_one_before_is_acked() -> None:
    rig = Rig()
    rig.sender.decide = lambda row: None if row.id == 1 else ACKED
    batch = rig.claimed(event(1, 7), event(2, 7), event(3, 8))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, batch)
        await until(lambda: rig.sender.sent == [1, 3])
        rig.sender.answer(1)
    assert rig.sender.sent == [1, 3, 2]


async def test_batches_enter_in_the_order_of_their_claims_however_long_each_takes_to_read() -> None:
    rig = Rig()
    rig.outbox.unreachable["read"] = 1
    first, second = rig.claimed(event(1, 7)), rig.claimed(event(2, 7))
    await rig.carry(first, second)
    assert rig.outbox.calls.count("read") == 3
    assert rig.sender.sent == [1, 2]


async def test_followers_of_what_did_not_get_through_are_given_back_unsent() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: Rested("acme.stock.moved", "full")
    await rig.carry(rig.claimed(event(1, 7), event(2, 7)), rig.claimed(event(3, 7)))
    assert rig.sender.sent == [1]
    assert {row for row, outcome in rig.outbox.settled.items() if isinstance(outcome, Released)} == {2, 3}


async def test_counted_failure_is_retried_until_the_last_attempt_fails_the_event() -> None:
    rig = Rig(max_attempts=3)
    rig.sender.decide = lambda _row: Retry("no")
    await rig.carry(rig.claimed(event(1, attempts=1), event(2, attempts=2)))
    assert rig.outbox.settled == {1: Retry("no"), 2: Failed("no", counted=True, certain=False)}


async def test_events_without_an_answer_are_given_up_when_the_time_to_publish_is_over() -> None:
    rig = Rig(publish_timeout=0.05)
    rig.sender.decide = lambda row: ACKED if row.id == 1 else None
    rig.sender.unknown = lambda _row: Released("no answer")
    await rig.carry(rig.claimed(event(1), event(2)))
    assert rig.sender.given_up == [2]
    assert rig.outbox.settled == {1: ACKED, 2: Released("no answer")}


async def test_lease_leaves_time_to_settle_however_long_publishing_may_take() -> None:
    rig = Rig(publish_timeout=60.0)
    rig.sender.decide, rig.sender.unknown = lambda _row: None, lambda _row: Released("no answer")
    batch = rig.claimed(event(1), lease=0.2)
    await rig.carry(batch)
    assert batch.written
    assert lease_clock() < batch.expires_at


async def test_answer_that_comes_too_late_changes_nothing() -> None:
    rig = Rig(publish_timeout=0.05)
    rig.sender.decide, rig.sender.unknown = lambda _row: None, lambda _row: Released("no answer")
    await rig.carry(rig.claimed(event(1)))
    rig.sender.answer(1, ACKED)
    assert rig.heard == [(1, Released("no answer"))]


async def test_settling_that_fails_is_tried_again_and_nothing_is_published_again_for_it() -> None:
    rig = Rig()
    rig.outbox.unreachable["settle"] = 2
    await rig.carry(rig.claimed(event(1)))
    assert rig.outbox.settled == {1: ACKED}
    assert rig.sender.sent == [1]
    assert len(rig.notes.of("settle.postponed")) == 2


async def test_settling_lasts_as_long_as_the_lease_while_nobody_stops_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SETTLE_ON_STOP", 0.01)
    rig = Rig()
    rig.outbox.unreachable["settle"] = 2
    await rig.carry(rig.claimed(event(1)))
    assert rig.outbox.settled == {1: ACKED}


async def test_batch_that_is_refused_while_its_lease_lasts_is_left_to_the_sweep() -> None:
    rig = Rig()
    rig.outbox.before = _refuse_to_settle
    batch = rig.claimed(event(1), lease=0.1)
    await rig.carry(batch)
    assert not batch.written
    assert rig.outbox.settled == {}
    await rig.delivery.wait_writable()


async def test_batch_is_written_after_an_outage_however_long() -> None:
    rig = Rig()
    rig.outbox.unreachable["settle"] = 4
    batch = rig.claimed(event(1), lease=0.1)
    await rig.carry(batch)
    assert lease_clock() > batch.expires_at
    assert batch.written
    assert rig.outbox.settled == {1: ACKED}


async def test_claims_wait_while_outcomes_cannot_be_written() -> None:
    rig = Rig()
    rig.outbox.unreachable["settle"] = 1000
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, rig.claimed(event(1)), rig.claimed(event(2)))
        await until(lambda: bool(rig.notes.of("settle.postponed")))
        with anyio.move_on_after(0.1):
            await rig.delivery.wait_writable()
            pytest.fail("a claim did not wait")
        rig.outbox.unreachable.clear()
        await rig.delivery.wait_writable()
    assert rig.outbox.settled == {1: ACKED, 2: ACKED}


async def test_aggregate_is_free_again_after_a_batch_that_could_not_be_written() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: AWAY
    rig.outbox.before = _refuse_to_settle
    await rig.carry(rig.claimed(event(1, 7), lease=0.1))
    rig.outbox.before = lambda _call: None
    rig.sender.decide = lambda _row: ACKED
    await rig.carry(rig.claimed(event(1, 7), event(2, 7)))
    assert rig.outbox.settled == {1: ACKED, 2: ACKED}


async def test_lease_that_ran_out_before_its_events_were_read_is_counted_as_lost() -> None:
    rig = Rig()
    await rig.carry(rig.claimed(event(1), event(2), lease=0.0))
    (settled,) = rig.notes.of("batch.settled")
    assert settled == {"outcomes": {}, "overtaken": 2}


async def test_lease_that_another_relay_took_over_is_counted_and_no_error() -> None:
    rig = Rig()
    batch = rig.claimed(event(1), event(2))
    rig.outbox.before = lambda call: rig.outbox.overtaken.add(batch.token) if call == "settle" else None
    await rig.carry(batch)
    (settled,) = rig.notes.of("batch.settled")
    assert settled["overtaken"] == 2
    assert batch.written


async def test_event_whose_lease_has_run_out_is_not_sent() -> None:
    rig = Rig()
    rig.sender.decide = lambda row: None if row.id == 1 else ACKED
    batch, other = rig.claimed(event(1, 7)), rig.claimed(event(2, 7))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, batch, other)
        await until(lambda: rig.sender.sent == [1] and bool(other.tickets))
        other.expires_at = lease_clock()
        rig.sender.answer(1)
    assert rig.sender.sent == [1]
    assert rig.outbox.settled[2] == Released("its lease ran out before it was sent")


async def test_lease_runs_out_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease_clock() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
    rig = Rig()
    rig.sender.decide = lambda row: None if row.id == 1 else ACKED
    batch = rig.claimed(event(1, 7), event(2, 7))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, batch)
        await until(lambda: rig.sender.sent == [1])
        # No time has passed for whoever asks the monotonic clock.
        monkeypatch.setattr(module, "lease_clock", lambda: batch.expires_at + 1)
        rig.sender.answer(1)
    assert rig.sender.sent == [1]
    assert rig.outbox.settled[2] == Released("its lease ran out before it was sent")


async def test_reading_that_fails_is_tried_again() -> None:
    rig = Rig()
    rig.outbox.unreachable["read"] = 2
    await rig.carry(rig.claimed(event(1)))
    assert rig.outbox.settled == {1: ACKED}
    assert len(rig.notes.of("read.postponed")) == 2


async def test_behind_a_batch_that_could_not_be_read_everything_goes_back() -> None:
    rig = Rig()
    first, second = rig.claimed(event(1, 7), lease=0.1), rig.claimed(event(2, 7))
    first_reads = iter(range(1000))

    def fail_the_first(call: str) -> None:
        if call == "read" and lease_clock() < first.expires_at and next(first_reads) != 1:
            rig.outbox.unreachable["read"] = 1

    rig.outbox.before = fail_the_first
    await rig.carry(first, second)
    assert rig.sender.sent == []
    assert rig.outbox.settled == {2: Released("a batch before it could not be read")}
    rig.outbox.before = lambda _call: None
    await rig.carry(rig.claimed(event(1, 7), event(2, 7)))
    assert rig.sender.sent == [1, 2]


async def test_batch_that_could_not_be_read_keeps_its_count_of_claims_for_the_sweep() -> None:
    rig = Rig()
    rig.outbox.unreachable["read"] = 1000
    batch = rig.claimed(event(1), lease=0.1)
    await rig.carry(batch)
    assert rig.outbox.released == {}
    assert not batch.written


async def test_event_that_was_left_unread_goes_back_and_holds_back_its_aggregate() -> None:
    rig = Rig()
    unread = event(2, 7)
    unread.body = None
    first, second = rig.claimed(event(1, 7), unread, event(3, 8)), rig.claimed(event(4, 7))
    await rig.carry(first, second)
    assert rig.sender.sent == [1, 3]
    assert rig.outbox.settled == {
        1: ACKED,
        2: Released("its batch was larger than it seemed"),
        3: ACKED,
        4: Released("waits for event 2 of its aggregate"),
    }


async def test_stop_settles_what_is_answered_and_gives_back_the_rest() -> None:
    rig = Rig()
    rig.sender.decide = lambda row: ACKED if row.id == 1 else None
    batch = rig.claimed(event(1), event(2))
    await rig.carry_until(lambda: len(rig.sender.sent) == 2, batch)
    assert rig.outbox.settled == {1: ACKED, 2: Released("the relay stopped")}


async def test_stop_gives_back_whole_what_was_not_read_yet() -> None:
    rig = Rig()
    rig.outbox.unreachable["read"] = 1000
    batch = rig.claimed(event(1))
    await rig.carry_until(lambda: bool(rig.notes.of("read.postponed")), batch)
    assert rig.outbox.released == {batch.token: "the relay stopped before it was read"}


async def test_stop_in_the_middle_of_settling_still_settles() -> None:
    rig = Rig()
    rig.outbox.unreachable["settle"] = 1
    batch = rig.claimed(event(1))
    await rig.carry_until(lambda: bool(rig.notes.of("settle.postponed")), batch)
    assert rig.outbox.settled == {1: ACKED}


async def test_stop_does_not_wait_for_ever_for_a_table_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE_ON_STOP", 0.1)
    rig = Rig()
    rig.sender.decide = lambda _row: None
    rig.outbox.unreachable["settle"] = 1000
    batch = rig.claimed(event(1))
    with anyio.fail_after(3):
        await rig.carry_until(lambda: bool(rig.sender.sent), batch)
    assert not batch.written


def _refuse_to_settle(call: str) -> None:
    if call == "settle":
        raise OutboxError("PostgreSQL: no")
