"""The loop: what it claims, when it rests, how it stops, and what it lives through."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.relay import loop as module
from outbox_notify.relay.claimer import Claimer
from outbox_notify.relay.delivery import Delivery
from outbox_notify.relay.loop import BATCHES_IN_HAND, Relay
from outbox_notify.relay.outcomes import Released, Rested
from outbox_notify.relay.routes import Routes
from tests.support.fakes import ACKED, FakeOutbox, FakeSender, FakeWake, Notes, event, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from outbox_notify.relay.claims import Claim, Wanted

pytestmark = pytest.mark.anyio


class Refusing(FakeOutbox):
    """A table whose next claims are refused."""

    errors: list[OutboxError]

    async def claim(self, wanted: Wanted) -> Claim:
        """Refuse, or claim."""
        if self.errors:
            raise self.errors.pop(0)
        return await super().claim(wanted)


class Rig:
    """A relay between a fake table and a fake JetStream."""

    def __init__(self, *, draining: bool = False) -> None:
        self.outbox, self.sender, self.wake, self.notes = Refusing(), FakeSender(), FakeWake(), Notes()
        self.outbox.errors = []
        claimer = Claimer(
            self.outbox,
            self.wake,
            Routes(),
            self.notes,
            batch_size=100,
            batch_bytes=1000,
            sweep_interval=60.0,
        )
        delivery = Delivery(
            self.outbox,
            self.sender,
            self.notes,
            claimer.note,
            publish_timeout=10.0,
            max_attempts=3,
            ordered=True,
            block=False,
        )
        self.sender.on_outcome = delivery.resolve
        self.relay = Relay(
            claimer, delivery, self.sender, self.wake, self.notes, lease=30.0, draining=draining
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the relay for the time of the context, then stop it and wait for its end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.relay.run)
            yield
            self.relay.stop()

    async def asleep(self) -> None:
        """Return once the relay rests with nothing in hand."""
        await until(lambda: self.wake.resting.is_set() and not self.outbox.batches)


async def test_everything_due_is_published_before_the_relay_rests() -> None:
    rig = Rig()
    for row_id in range(1, 8):
        rig.outbox.will_claim(event(row_id))
    async with rig.running():
        await rig.asleep()
    assert rig.outbox.settled == dict.fromkeys(range(1, 8), ACKED)
    assert rig.relay.progress == 7


async def test_what_comes_while_it_rests_is_claimed_when_it_is_stirred() -> None:
    rig = Rig()
    async with rig.running():
        await rig.asleep()
        rig.outbox.will_claim(event(1))
        rig.wake.stir()
        await until(lambda: 1 in rig.outbox.settled)


async def test_nothing_is_claimed_while_nats_is_away_and_writers_need_not_notify() -> None:
    rig = Rig()
    rig.sender.there = anyio.Event()
    rig.outbox.will_claim(event(1))
    async with rig.running():
        await until(lambda: rig.wake.let_go_of == 1)
        await anyio.wait_all_tasks_blocked()
        assert rig.outbox.calls == []
        rig.sender.there.set()
        await until(lambda: 1 in rig.outbox.settled)


async def test_no_more_batches_are_in_hand_than_may_be() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: None
    for row_id in range(1, 10):
        rig.outbox.will_claim(event(row_id))
    async with rig.running():
        await until(lambda: len(rig.sender.sent) == BATCHES_IN_HAND)
        await anyio.wait_all_tasks_blocked()
        assert rig.outbox.calls.count("claim") == BATCHES_IN_HAND
        rig.sender.answer(1)
        await until(lambda: len(rig.sender.sent) == BATCHES_IN_HAND + 1)
        rig.sender.decide = lambda _row: ACKED
        for row_id in rig.sender.sent[1:]:
            rig.sender.answer(row_id)
        await rig.asleep()


async def test_stop_settles_what_is_in_hand_and_claims_nothing_more() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: None
    for row_id in range(1, 10):
        rig.outbox.will_claim(event(row_id))
    async with rig.running():
        await until(lambda: len(rig.sender.sent) == BATCHES_IN_HAND)
        rig.relay.stop()
        await anyio.wait_all_tasks_blocked()
        for row_id in list(rig.sender.sent):
            rig.sender.answer(row_id)
    assert rig.outbox.settled == dict.fromkeys((1, 2, 3), ACKED)
    assert rig.outbox.calls.count("claim") == BATCHES_IN_HAND


async def test_stop_ends_a_rest_a_wait_for_nats_and_a_pause_at_once() -> None:
    for hindrance in ("nothing due", "no nats", "no table"):
        rig = Rig()
        if hindrance == "no nats":
            rig.sender.there = anyio.Event()
        if hindrance == "no table":
            rig.outbox.unreachable["claim"] = 1000
        with anyio.fail_after(1):
            async with rig.running():
                await anyio.wait_all_tasks_blocked()


async def test_outage_of_the_table_costs_time_only() -> None:
    rig = Rig()
    rig.outbox.unreachable["claim"] = 2
    rig.outbox.will_claim(event(1))
    async with rig.running():
        await until(lambda: rig.relay.trouble is not None)
        await until(lambda: 1 in rig.outbox.settled)
    assert rig.relay.trouble is None
    assert rig.notes.of("claim.postponed") == [{"reason": "PostgreSQL is away"}] * 2


async def test_relay_that_cannot_work_here_says_so_at_once() -> None:
    for error in (SchemaError("no table"), NotPermitted("no right")):
        rig = Rig()
        rig.outbox.errors = [error]
        with pytest.raises(ExceptionGroup) as caught:
            await rig.relay.run()
        assert caught.group_contains(type(error))


async def test_relay_that_has_worked_here_takes_the_same_for_an_outage() -> None:
    rig = Rig()
    async with rig.running():
        await rig.asleep()
        rig.outbox.errors = [DatabaseUnreachable("away"), SchemaError("no table"), NotPermitted("no right")]
        rig.outbox.will_claim(event(1))
        rig.wake.stir()
        await until(lambda: 1 in rig.outbox.settled)


async def test_event_that_crashed_relays_is_carried_with_nothing_else_in_hand() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: None
    rig.outbox.will_claim(event(1))
    async with rig.running():
        await until(lambda: rig.sender.sent == [1])
        await rig.asleep()
        rig.outbox.suspect = True
        rig.outbox.will_claim(event(2))
        rig.outbox.will_claim(event(3))
        rig.wake.stir()
        await until(lambda: len(rig.outbox.batches) == 1)
        await anyio.wait_all_tasks_blocked()
        assert rig.sender.sent == [1]
        rig.sender.answer(1)
        await until(lambda: rig.sender.sent == [1, 2])
        await anyio.wait_all_tasks_blocked()
        assert len(rig.outbox.batches) == 1
        rig.sender.decide = lambda _row: ACKED
        rig.sender.answer(2)
        await until(lambda: 3 in rig.outbox.settled)


async def test_event_that_waits_to_go_alone_is_given_back_by_a_relay_that_stops_at_once() -> None:
    rig = Rig()
    rig.sender.decide = lambda _row: None
    rig.outbox.will_claim(event(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.relay.run)
        await until(lambda: rig.sender.sent == [1])
        await rig.asleep()
        rig.outbox.suspect = True
        rig.outbox.will_claim(event(2))
        rig.wake.stir()
        await until(lambda: not rig.outbox.batches)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert list(rig.outbox.released.values()) == ["the relay stopped before it was read"]
    assert rig.sender.sent == [1]


async def test_drained_when_nothing_is_due_and_nothing_in_hand() -> None:
    rig = Rig(draining=True)
    rig.sender.decide = lambda _row: None
    rig.outbox.will_claim(event(1))
    async with rig.running():
        await until(lambda: rig.sender.sent == [1])
        await rig.asleep()
        assert not rig.relay.drained.is_set()
        rig.sender.answer(1)
        with anyio.fail_after(5):
            await rig.relay.drained.wait()


async def test_not_drained_while_a_route_rests() -> None:
    rig = Rig(draining=True)
    rig.sender.decide = lambda row: Rested(row.route, "full")
    rig.outbox.will_claim(event(1))
    async with rig.running():
        await until(lambda: 1 in rig.outbox.settled)
        await rig.asleep()
        assert not rig.relay.drained.is_set()


async def test_relay_slows_down_while_everything_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.05)
    rig = Rig()
    rig.sender.decide = lambda _row: Released("no leader")
    for row_id in range(1, 9):
        rig.outbox.will_claim(event(row_id))
    async with rig.running():
        with anyio.move_on_after(0.4):
            await until(lambda: not rig.outbox.batches)
        assert rig.outbox.batches
        rig.sender.decide = lambda _row: ACKED
        await until(lambda: not rig.outbox.batches, within=10)
