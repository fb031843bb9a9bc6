"""The clock of a relay's host is wrong by hours: leases last by the clock of the database alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from outbox_notify.relay.outcomes import Published, Retry
from tests.support.claiming import LEASE, RETRY_IN, Desk, claiming
from tests.support.events import put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("wrong_by", [7200, -7200], ids=["ahead", "behind"]),
]

BUSY_MACHINE = 5


@pytest.fixture
async def desk(database: str, wrong_by: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A table as a relay has it whose clock is wrong."""
    right, right_ns = time.time, time.time_ns
    async with claiming(database) as opened:
        monkeypatch.setattr(time, "time", lambda: right() + wrong_by)
        monkeypatch.setattr(time, "time_ns", lambda: right_ns() + wrong_by * 10**9)
        yield opened
        monkeypatch.undo()


async def test_t18_lease_lasts_by_the_clock_of_the_database(desk: Desk) -> None:
    put(desk.conn)
    await desk.take()
    (left,) = desk.conn.execute(
        "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM event_outbox"
    ).fetchone() or (0,)
    assert LEASE - BUSY_MACHINE < left <= LEASE


async def test_t18_lease_runs_out_by_the_clock_of_the_database(desk: Desk) -> None:
    put(desk.conn)
    await desk.take()
    assert (await desk.storage.reclaim(10)).reclaimed == 0
    desk.expire_leases()
    assert (await desk.storage.reclaim(10)).reclaimed == 1


async def test_t18_delays_and_marks_are_by_the_clock_of_the_database(desk: Desk) -> None:
    put(desk.conn)
    await desk.settle(Retry("no"))
    put(desk.conn)
    await desk.settle(Published("OUTBOX", 1))
    delays = desk.conn.execute(
        "SELECT extract(epoch FROM coalesce(published_at, available_at) - clock_timestamp())::float8"
        " FROM event_outbox ORDER BY id"
    ).fetchall()
    assert RETRY_IN - BUSY_MACHINE < delays[0][0] <= RETRY_IN
    assert -BUSY_MACHINE < delays[1][0] <= 0
