"""Outcomes in the table: what each writes, that every write names its lease, and what the sweep does with leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from outbox_notify.relay.outcomes import Failed, Outcome, Published, Released, Rested, Retry
from tests.support.claiming import RETRY_IN, Desk, claiming
from tests.support.events import age, put
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from outbox_notify.relay.claims import ClaimedEvent

pytestmark = [pytest.mark.anyio, ON_BOTH]

ACKED = Published("OUTBOX", 1)
EVERY_OUTCOME: list[Outcome] = [
    ACKED, Retry("no"), Released("away"), Rested("acme.stock.moved", "full"), Failed("never"),
]  # fmt: skip
NO_LEASE = {"lease_token": None, "lease_until": None, "claimed_by": None}


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with claiming(database) as opened:
        yield opened


async def settled(desk: Desk, outcome: Outcome, **columns: Any) -> dict[str, Any]:
    """Put an event, claim it, settle it, and return its row."""
    row_id = put(desk.conn, **columns)
    await desk.settle(outcome)
    row = desk.row(row_id)
    assert {name: row[name] for name in NO_LEASE} == NO_LEASE
    assert row["claims"] == 0
    return row


async def test_acked_event_is_published_and_forgets_its_troubles(desk: Desk) -> None:
    row = await settled(desk, ACKED, attempts=2, last_error="no", claims=3)
    assert (row["status"], row["attempts"], row["last_error"]) == ("published", 2, None)
    assert row["published_at"] >= row["created_at"]


async def test_retried_event_is_put_off_and_the_attempt_counted(desk: Desk) -> None:
    row = await settled(desk, Retry("no"), attempts=2)
    assert (row["status"], row["attempts"], row["last_error"]) == ("pending", 3, "no")
    assert (row["available_at"] - row["created_at"]).total_seconds() >= RETRY_IN


async def test_released_event_goes_back_to_its_place_with_no_attempt_counted(desk: Desk) -> None:
    for outcome in (Released("away"), Rested("acme.stock.moved", "away")):
        row = await settled(desk, outcome, attempts=2)
        assert (row["status"], row["attempts"], row["last_error"]) == ("pending", 2, "away")
        assert row["available_at"] == row["created_at"]
        desk.conn.execute("DELETE FROM event_outbox")


async def test_failed_event_keeps_its_reason_and_whether_it_was_tried(desk: Desk) -> None:
    for counted in (False, True):
        row = await settled(desk, Failed("too large", counted=counted), attempts=2)
        assert (row["status"], row["attempts"], row["last_error"]) == ("failed", 2 + counted, "too large")


async def test_outcomes_of_all_kinds_are_written_together(desk: Desk) -> None:
    ids = [put(desk.conn) for _ in EVERY_OUTCOME]
    token, events = await desk.take()
    assert await desk.storage.settle(token, dict(zip(events, EVERY_OUTCOME, strict=True))) == 0
    states = [desk.row(row_id)["status"] for row_id in ids]
    assert states == ["published", "pending", "pending", "pending", "failed"]


async def test_published_event_is_deleted_when_nothing_is_kept(database: str) -> None:
    async with claiming(database, retention=0.0) as desk:
        put(desk.conn)
        await desk.settle(ACKED)
        assert desk.conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)


async def test_reason_may_hold_what_postgresql_does_not_take(desk: Desk) -> None:
    for outcome in (Retry, Released, Failed):
        row = await settled(desk, outcome("a\0b \ud800 " + "x" * 1000))
        assert row["last_error"].startswith("a?b ? xxx")
        assert len(row["last_error"]) == 500
        desk.conn.execute("DELETE FROM event_outbox")


@pytest.mark.parametrize("outcome", EVERY_OUTCOME, ids=lambda outcome: type(outcome).__name__)
async def test_t15_outcome_of_a_relay_that_was_overtaken_changes_nothing(
    database: str, desk: Desk, outcome: Outcome
) -> None:
    row_id = put(desk.conn)
    token, events = await desk.take()
    desk.expire_leases()
    async with claiming(database, relay_id="two") as other:
        assert (await other.storage.reclaim(1000)).reclaimed == 1
        given_back = await _untouched_by(desk, token, {events[0]: outcome}, row_id)
        their_token, theirs = await other.take()
        taken_over = await _untouched_by(desk, token, {events[0]: outcome}, row_id)
        await other.storage.settle(their_token, dict.fromkeys(theirs, ACKED))
        done = await _untouched_by(desk, token, {events[0]: outcome}, row_id)
    assert (given_back, taken_over, done) == ("pending", "in_progress", "published")


async def _untouched_by(desk: Desk, token: UUID, outcomes: dict[ClaimedEvent, Outcome], row_id: int) -> str:
    """Settle in vain; return the status of the row."""
    before = desk.row(row_id)
    assert await desk.storage.settle(token, outcomes) == len(outcomes)
    assert desk.row(row_id) == before
    return str(before["status"])


async def test_deleting_is_fenced_too(database: str) -> None:
    async with claiming(database, retention=0.0) as desk, claiming(database, relay_id="two") as other:
        row_id = put(desk.conn)
        token, events = await desk.take()
        desk.expire_leases()
        await other.storage.reclaim(1000)
        await other.take()
        assert await _untouched_by(desk, token, {events[0]: ACKED}, row_id) == "in_progress"


@pytest.mark.parametrize("outcome", EVERY_OUTCOME, ids=lambda outcome: type(outcome).__name__)
async def test_no_outcome_changes_the_message_id(desk: Desk, outcome: Outcome) -> None:
    row_id = put(desk.conn)
    before = desk.row(row_id)["event_id"]
    await desk.settle(outcome)
    assert desk.row(row_id)["event_id"] == before


async def test_part_of_a_batch_that_was_overtaken_is_counted(desk: Desk) -> None:
    kept, lost = put(desk.conn), put(desk.conn)
    token, events = await desk.take()
    desk.change(lost, lease_token="gen_random_uuid()")  # noqa: S106  # a lease, no password
    assert await desk.storage.settle(token, dict.fromkeys(events, ACKED)) == 1
    assert (desk.row(kept)["status"], desk.row(lost)["status"]) == ("published", "in_progress")


async def test_expired_lease_is_taken_over(desk: Desk) -> None:
    first, second = put(desk.conn, attempts=2), put(desk.conn)
    await desk.claim()
    desk.expire_leases()
    fresh = put(desk.conn)
    await desk.claim()
    reclaimed = await desk.storage.reclaim(1000)
    assert (reclaimed.reclaimed, reclaimed.failed, reclaimed.lowest) == (2, 0, first)
    row = desk.row(first)
    assert (row["status"], row["attempts"], row["claims"]) == ("pending", 2, 1)
    assert row["last_error"] == "the lease of one expired"
    assert {name: row[name] for name in NO_LEASE} == NO_LEASE
    assert (desk.row(second)["status"], desk.row(fresh)["status"]) == ("pending", "in_progress")


async def test_no_more_than_asked_for_is_taken_over_at_once(desk: Desk) -> None:
    for _ in range(5):
        put(desk.conn)
    await desk.claim()
    desk.expire_leases()
    assert [(await desk.storage.reclaim(2)).reclaimed for _ in range(4)] == [2, 2, 1, 0]


async def test_t20_event_that_was_claimed_too_often_without_an_outcome_fails(database: str) -> None:
    async with claiming(database, max_claims=2) as desk:
        row_id = put(desk.conn)
        suspects = []
        for _ in range(3):
            suspects.append((await desk.claim()).suspect)
            desk.expire_leases()
            last = await desk.storage.reclaim(1000)
        assert suspects == [False, False, True]
        assert (last.reclaimed, last.failed, last.lowest) == (0, 1, row_id)
        row = desk.row(row_id)
        assert (row["status"], row["attempts"]) == ("failed", 0)
        assert row["last_error"] == "claimed 3 times and never settled: it may crash relays"


async def test_outcome_of_any_kind_clears_the_suspicion(database: str) -> None:
    async with claiming(database, max_claims=2) as desk:
        put(desk.conn, claims=2)
        await desk.settle(Released("away"))
        assert not (await desk.claim()).suspect


async def test_batch_that_was_never_read_is_released_whole(desk: Desk) -> None:
    ids = [put(desk.conn) for _ in range(3)]
    claim = await desk.claim()
    assert claim.token is not None
    assert await desk.storage.release(claim.token, "stopped") == 3
    assert await desk.storage.release(claim.token, "stopped") == 0
    assert {desk.row(row_id)["last_error"] for row_id in ids} == {"stopped"}
    assert await desk.taken() == ids


async def test_only_published_events_past_retention_are_pruned(database: str) -> None:
    async with claiming(database, retention=3600.0) as desk:
        old = [
            await _in_state(desk, state, "2 hours")
            for state in ("published", "pending", "failed", "published")
        ]
        young = await _in_state(desk, "published", "1 minute")
        step = await desk.storage.prune(0, 1000)
        assert (step.pruned, step.go_on_after) == (2, None)
        left = [row[0] for row in desk.conn.execute("SELECT id FROM event_outbox ORDER BY id").fetchall()]
        assert left == [old[1], old[2], young]


async def test_pruning_goes_on_step_by_step_past_events_that_were_published_late(database: str) -> None:
    async with claiming(database, retention=3600.0) as desk:
        late = await _in_state(desk, "published", "1 minute")
        old = [await _in_state(desk, "published", "2 hours") for _ in range(5)]
        steps, after = [], 0
        for _ in range(3):
            step = await desk.storage.prune(after, 2)
            steps.append((step.pruned, step.go_on_after))
            after = step.go_on_after or 0
        assert steps == [(1, old[0]), (2, old[2]), (2, old[4])]
        assert desk.conn.execute("SELECT id FROM event_outbox").fetchall() == [(late,)]


async def test_pruning_stops_where_everything_is_too_young(database: str) -> None:
    async with claiming(database, retention=3600.0) as desk:
        for _ in range(4):
            await _in_state(desk, "published", "1 minute")
        step = await desk.storage.prune(0, 2)
        assert (step.pruned, step.go_on_after) == (0, None)


async def _in_state(desk: Desk, status: str, old: str) -> int:
    row_id = put(desk.conn, status=status)
    age(desk.conn, row_id, old)
    if status == "published":
        desk.change(row_id, published_at="available_at")
    return row_id
