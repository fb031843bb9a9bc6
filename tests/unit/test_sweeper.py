"""The upkeep pass: what it asks of the table, what it tells, and that no error ends it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import anyio
import pytest

from outbox_notify.errors import DatabaseUnreachable, NotPermitted, OutboxError, SchemaError
from outbox_notify.postgres.storage import Pruned, Reclaimed
from outbox_notify.relay.sweeper import Sweeper
from tests.support.fakes import Notes, until

pytestmark = pytest.mark.anyio

FULL = 1000


@dataclass
class FakeUpkeep:
    """A table with prepared answers; afterwards it has nothing to do."""

    reclaims: deque[Reclaimed | None] = field(default_factory=deque)
    prunes: deque[Pruned] = field(default_factory=deque)
    refusal: OutboxError = field(default_factory=lambda: DatabaseUnreachable("away"))
    reclaimed: int = 0
    pruned_after: list[int] = field(default_factory=list)

    async def reclaim(self, rows: int) -> Reclaimed:
        assert rows == FULL
        self.reclaimed += 1
        answer = self.reclaims.popleft() if self.reclaims else Reclaimed(0, 0, 0)
        if answer is None:
            raise self.refusal
        return answer

    async def prune(self, after: int, rows: int) -> Pruned:
        assert rows == FULL
        self.pruned_after.append(after)
        return self.prunes.popleft() if self.prunes else Pruned(0, None)


class Rig:
    def __init__(self, *, prunes: bool = True) -> None:
        self.upkeep, self.notes = FakeUpkeep(), Notes()
        self.lowest: list[int] = []
        self.sweeper = Sweeper(self.upkeep, self.lowest.append, self.notes, interval=0.001, prunes=prunes)

    async def sweep(self, passes: int) -> None:
        """Sweep until so many looks for expired leases were taken."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sweeper.run)
            await until(lambda: self.upkeep.reclaimed >= passes)
            tasks.cancel_scope.cancel()


async def test_reclaimed_events_are_told_and_looked_for() -> None:
    rig = Rig()
    rig.upkeep.reclaims.append(Reclaimed(reclaimed=3, failed=1, lowest=17))
    await rig.sweep(2)
    assert rig.lowest == [17]
    assert rig.notes.of("lease.expired") == [{"reclaimed": 3, "failed": 1}]


async def test_reclaiming_goes_on_at_once_while_there_may_be_more() -> None:
    rig = Rig()
    rig.upkeep.reclaims.extend((Reclaimed(FULL - 1, 1, 5), Reclaimed(FULL, 0, 1005), Reclaimed(2, 0, 2005)))
    await rig.sweep(3)
    assert rig.lowest == [5, 1005, 2005]
    assert len(rig.upkeep.pruned_after) <= 1


async def test_table_that_is_away_does_not_end_the_sweep() -> None:
    rig = Rig()
    rig.upkeep.reclaims.extend((None, None, Reclaimed(1, 0, 9)))
    await rig.sweep(4)
    assert rig.lowest == [9]
    assert rig.notes.of("sweep.postponed") == [{"reason": "away"}] * 2


async def test_pruning_walks_on_and_starts_over_at_the_end() -> None:
    rig = Rig()
    rig.upkeep.prunes.extend((Pruned(1000, 1000), Pruned(900, 2000), Pruned(5, None)))
    await rig.sweep(3)
    assert rig.upkeep.pruned_after[:4] == [0, 1000, 2000, 0]
    assert rig.notes.of("events.pruned") == [{"events": 1905}]


async def test_one_pass_prunes_only_so_much_and_the_next_one_goes_on_there() -> None:
    rig = Rig()
    rig.upkeep.prunes.extend(Pruned(1000, n * 1000) for n in range(1, 26))
    await rig.sweep(3)
    assert rig.upkeep.pruned_after[:25] == [n * 1000 for n in range(25)]
    assert [note["events"] for note in rig.notes.of("events.pruned")] == [20_000, 5_000]


async def test_nothing_is_pruned_where_published_events_are_deleted_at_once() -> None:
    rig = Rig(prunes=False)
    await rig.sweep(3)
    assert rig.upkeep.pruned_after == []


@pytest.mark.parametrize("refusal", [SchemaError("no table"), NotPermitted("no right")])
async def test_table_that_cannot_be_used_ends_the_sweep_only_when_it_never_could(
    refusal: OutboxError,
) -> None:
    rig = Rig()
    rig.upkeep.refusal = refusal
    rig.upkeep.reclaims.append(None)
    with pytest.raises(type(refusal)):
        await rig.sweeper.run()
    rig.upkeep.reclaims.extend([Reclaimed(0, 0, 0), None])
    await rig.sweep(4)
    assert rig.notes.of("sweep.postponed") == [{"reason": str(refusal)}]
