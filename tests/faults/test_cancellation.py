"""Calls of the table are cancelled at any moment: no connection leaks, no transaction stays open, no lease is lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import anyio
import pytest

from outbox_notify.relay.outcomes import Released
from tests.support.claiming import Desk, claiming
from tests.support.outbox import OutboxTable, fill

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

CANCELLED, AT_ONCE, EVENTS = 1000, 4, 400
# From the middle of connecting to the end of a settlement.
LONGEST = (0.003, 0.01, 0.03, 0.1)
BACKENDS = """
    SELECT count(*) <= 4, count(*) FILTER (WHERE state LIKE 'idle in transaction%')
    FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'outbox-notify relay % work'
"""
LOCKS = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Storm:
    """Calls that are cut short.

    Args:
        desk: the table as a relay has it.
        random: when, and what.
    """

    def __init__(self, desk: Desk, random: Random) -> None:
        self._desk, self._random = desk, random
        self.cancelled = 0
        self.done = 0

    async def blow(self) -> None:
        """Claim, read, settle or sweep, and be cancelled, until that happened often enough."""
        while self.cancelled < CANCELLED:
            with anyio.move_on_after(self._random.uniform(0, self._random.choice(LONGEST))) as scope:
                await self._call()
                self.done += 1
            self.cancelled += scope.cancelled_caught

    async def _call(self) -> None:
        if self._random.random() < 0.1:
            await self._desk.storage.reclaim(100)
        claim = await self._desk.claim()
        if claim.token is None:
            # What was cut short after its claim is under a lease that nobody knows.
            self._desk.expire_leases()
            return
        events = await self._desk.storage.read(claim.token)
        await self._desk.storage.settle(claim.token, dict.fromkeys(events, Released("not now")))


@pytest.mark.slow
async def test_t49_a_storm_of_cancellations_leaks_nothing(
    database: str, measured: Callable[..., None]
) -> None:
    async with claiming(database, batch_size=5, max_claims=10**6) as desk:
        fill(desk.conn, EVENTS, aggregates=0)
        storm = Storm(desk, Random(49))  # noqa: S311  # moments, not secrets
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(storm.blow)
        table = OutboxTable(desk.conn)
        await until_one(desk, LOCKS, (0,))
        measured(cancelled=storm.cancelled, done=storm.done, left=dict(table.count()))
        assert storm.done > 10, "hardly anything was let through"
        # None is missing: as many calls as before run side by side.
        desk.expire_leases()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(desk.storage.reclaim, EVENTS)
        await until_one(desk, BACKENDS, (True, 0))
        taken = [event for _ in range(EVENTS // 5) for event in await desk.taken()]
        assert sorted(taken) == list(range(1, EVENTS + 1)), "claimed once each, and all of them"


async def until_one(desk: Desk, query: str, expected: tuple[int, ...]) -> None:
    """Return once a query gives the expected row: what was cut off is still at its end."""
    with anyio.fail_after(5):
        while (found := desk.conn.execute(query.encode()).fetchone()) != expected:
            assert found is not None
            await anyio.sleep(0.02)
