"""What a claim leaves alone because an operator has paused it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from outbox_notify.operations.pause import Target, pause, resume
from outbox_notify.relay.outcomes import Released
from tests.support.claiming import Desk, claiming
from tests.support.events import put
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
ONE = {"aggregate_type": "bin", "aggregate_id": "1"}
COUNTED = {"event_type": "stock.counted"}
GLOBEX = {"tenant_id": "globex"}


@asynccontextmanager
async def paused(url: str, *targets: Target, lasting: float | None = None) -> AsyncIterator[Desk]:
    async with claiming(url) as desk:
        for target in targets:
            pause(desk.conn, "public", target, lasting=lasting)
        yield desk


@pytest.mark.parametrize(
    ("target", "held"),
    [
        (Target("acme"), {0, 1}),
        (Target(event_type="stock.counted"), {1, 3}),
        (Target("acme", "stock.counted"), {1}),
        (Target("initech"), set()),
        (Target("globex", "stock"), set()),
    ],
    ids=str,
)
@pytest.mark.parametrize("when", ["due from birth", "came due"])
async def test_paused_events_are_left_alone_and_the_others_go(
    database: str, target: Target, held: set[int], when: str
) -> None:
    async with paused(database, target) as desk:
        kinds: tuple[dict[str, str], ...] = ({}, COUNTED, GLOBEX, {**GLOBEX, **COUNTED})
        ids = [put(desk.conn, **columns) for columns in kinds]
        if when == "came due":
            desk.conn.execute(
                "UPDATE event_outbox SET created_at = now() - interval '1 h', available_at = now()"
            )
        assert await desk.taken() == [row_id for place, row_id in enumerate(ids) if place not in held]
        resume(desk.conn, "public", target)
        assert await desk.taken() == [row_id for place, row_id in enumerate(ids) if place in held]


async def test_several_pauses_hold_each_its_own(database: str) -> None:
    targets = Target("globex"), Target(event_type="stock.counted"), Target("acme", "stock.lost")
    async with paused(database, *targets) as desk:
        put(desk.conn, **GLOBEX), put(desk.conn, **COUNTED), put(desk.conn, event_type="stock.lost")
        free = [put(desk.conn), put(desk.conn, tenant_id="initech", event_type="stock.lost")]
        assert await desk.taken() == free


async def test_later_events_of_an_aggregate_wait_behind_a_paused_one(database: str) -> None:
    async with paused(database, Target(event_type="stock.counted")) as desk:
        before = put(desk.conn, **ONE)
        held, later = put(desk.conn, **ONE, **COUNTED), put(desk.conn, **ONE)
        other = put(desk.conn, aggregate_type="bin", aggregate_id="2")
        claim = await desk.claim()
        assert claim.token is not None
        assert [event.id for event in await desk.storage.read(claim.token)] == [before, other]
        [passed] = claim.scan.passed
        assert passed.first == held
        # Also those that come later, and those that waited for their time: the relay remembers the key.
        put(desk.conn, **ONE)
        waited = put(desk.conn, **ONE)
        desk.change(waited, created_at="now() - interval '1 h'", available_at="now()")
        memory = {"start": claim.scan.frontier + 1, "passed": {passed.key: passed.first}}
        assert await desk.taken(**memory, own=[claim.token]) == []
        assert desk.row(later)["status"] == "pending"


async def test_later_events_wait_behind_a_paused_one_that_came_back(database: str) -> None:
    async with paused(database, Target(event_type="stock.counted")) as desk:
        came_back, later = put(desk.conn, **ONE, **COUNTED), put(desk.conn, **ONE)
        desk.change(
            came_back,
            created_at="now() - interval '1 h'",
            available_at="now() - interval '1 s'",
            attempts=1,
            last_error="'no good'",
        )
        assert await desk.taken() == []
        resume(desk.conn, "public", None)
        assert await desk.taken() == [came_back, later]


async def test_later_events_wait_behind_a_paused_one_whose_time_has_come(database: str) -> None:
    async with paused(database, Target(event_type="stock.counted")) as desk:
        scheduled, later = put(desk.conn, **ONE, **COUNTED), put(desk.conn, **ONE)
        desk.change(scheduled, created_at="now() - interval '1 h'", available_at="now() + interval '1 h'")
        # A schedule alone does not hold back what comes after it.
        assert await desk.settle(Released("given back")) == [later]
        desk.change(scheduled, available_at="now() - interval '1 s'")
        assert await desk.taken() == []
        resume(desk.conn, "public", None)
        assert await desk.taken() == [scheduled, later]


async def test_events_in_hand_are_settled_whatever_is_paused_meanwhile(database: str) -> None:
    async with claiming(database) as desk:
        put(desk.conn)
        token, events = await desk.take()
        pause(desk.conn, "public", Target("acme"))
        assert await desk.storage.release(token, "given back") == 1
        assert await desk.taken() == []
        assert desk.row(events[0].id)["status"] == "pending"


async def test_claim_says_when_the_first_pause_is_over(database: str) -> None:
    async with claiming(database) as desk:
        assert (await desk.claim()).pause_ends_in is None
        pause(desk.conn, "public", Target("initech"))
        assert (await desk.claim()).pause_ends_in is None
        pause(desk.conn, "public", Target("acme"), lasting=100)
        pause(desk.conn, "public", Target("globex"), lasting=50)
        ends_in = (await desk.claim()).pause_ends_in
        assert ends_in is not None
        assert 20 < ends_in <= 50


@ON_BOTH
async def test_pause_without_end_holds_its_own_and_nothing_else(database: str) -> None:
    async with paused(database, Target("acme")) as desk:
        desk.conn.execute("UPDATE event_outbox_pause SET until = 'infinity'")
        put(desk.conn)
        free = put(desk.conn, **GLOBEX)
        assert await desk.taken() == [free]


async def test_pause_that_is_over_holds_nothing(database: str) -> None:
    async with paused(database, Target("acme")) as desk:
        desk.conn.execute("UPDATE event_outbox_pause SET until = now()")
        row_id = put(desk.conn)
        claim = await desk.claim()
        assert claim.pause_ends_in is None
        assert desk.row(row_id)["status"] == "in_progress"
