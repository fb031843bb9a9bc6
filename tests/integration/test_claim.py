"""What a claim takes and in which order, against real tables in every state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import psycopg
import pytest

from outbox_notify.postgres.queries import query
from outbox_notify.relay.leases import lease_clock
from outbox_notify.relay.outcomes import Failed, Published, Released, Retry
from tests.support.claiming import LEASE, Desk, claiming
from tests.support.events import put
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, ON_BOTH]

MEGABYTE = 1_000_000


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with claiming(database) as opened:
        yield opened


@pytest.fixture
async def other(database: str) -> AsyncIterator[Desk]:
    """Another relay."""
    async with claiming(database, relay_id="two") as opened:
        yield opened


def newest(desk: Desk) -> UUID:
    """Return the highest token of all that may have been given."""
    [(number,)] = desk.conn.execute("SELECT last_value FROM event_outbox_lease_seq").fetchall()
    return UUID(int=(number + 1 << 64) - 1)


def of(aggregate: object, **columns: Any) -> dict[str, Any]:
    return {"aggregate_type": "bin", "aggregate_id": str(aggregate), **columns}


async def test_oldest_events_are_claimed_first_and_no_more_than_a_batch(database: str) -> None:
    async with claiming(database, batch_size=3) as desk:
        ids = [put(desk.conn) for _ in range(5)]
        assert await desk.taken() == ids[:3]
        assert await desk.taken() == ids[3:]
        assert await desk.taken() == []


async def test_claimed_event_carries_its_lease(desk: Desk) -> None:
    row_id = put(desk.conn, claims=2)
    claim = await desk.claim()
    row = desk.row(row_id)
    (left,) = desk.conn.execute(
        "SELECT extract(epoch FROM lease_until - now()) FROM event_outbox"
    ).fetchone() or (0,)
    assert (row["status"], row["lease_token"], row["claimed_by"], row["claims"]) == (
        "in_progress", claim.token, "one", 3,
    )  # fmt: skip
    assert LEASE - 5 < left <= LEASE
    assert claim.claimed == 1


async def test_tokens_of_later_claims_are_greater(desk: Desk, other: Desk) -> None:
    tokens = []
    for relay in (desk, other, desk, other):
        put(desk.conn)
        tokens.append((await relay.claim()).token)
    assert tokens == sorted(tokens, key=str)


async def test_claim_that_finds_nothing_has_no_token(desk: Desk) -> None:
    claim = await desk.claim()
    assert (claim.token, claim.claimed, claim.scan.exhausted, claim.next_due_in) == (None, 0, True, None)


async def test_event_is_read_as_it_goes_on_the_wire(desk: Desk) -> None:
    put(desk.conn, payload='{"é": 1}', headers='{"traceparent": "00-1"}', **of("ä/1"))
    put(desk.conn, payload=None, payload_bytes=b"\x00\xff", content_type="application/x-thing", attempts=4)
    _, (first, second) = await desk.take()
    assert (first.body, first.headers, first.aggregate_id) == (
        '{"é": 1}'.encode(),
        '{"traceparent": "00-1"}',
        "ä/1",
    )
    assert first.created_at.endswith("Z")
    assert first.ordering_key is not None
    assert (second.body, second.headers, second.ordering_key) == (b"\x00\xff", None, None)
    assert (second.content_type, second.attempts) == ("application/x-thing", 4)


async def test_bodies_of_a_claim_stay_within_its_bytes(desk: Desk) -> None:
    for _ in range(5):
        put(desk.conn, payload=None, payload_bytes=bytes(1000))
    assert len(await desk.taken(bytes=3500)) == 3


async def test_compressed_body_weighs_what_it_weighs_in_memory(desk: Desk) -> None:
    for _ in range(5):
        put(desk.conn, payload='{"long": "' + "x" * MEGABYTE + '"}')
    assert len(await desk.taken(bytes=3 * MEGABYTE)) == 2


async def test_headers_weigh_too(desk: Desk) -> None:
    for _ in range(5):
        put(desk.conn, headers='{"long": "' + "x" * 1000 + '"}')
    assert len(await desk.taken(bytes=3500)) == 3


async def test_first_event_is_claimed_whatever_its_size(desk: Desk) -> None:
    ids = [put(desk.conn, payload=None, payload_bytes=bytes(5000)) for _ in range(2)]
    assert await desk.taken(bytes=1000) == ids[:1]


async def test_small_event_behind_a_large_one_does_not_overtake_it(desk: Desk) -> None:
    first = put(desk.conn, payload=None, payload_bytes=bytes(900), **of(1))
    put(desk.conn, payload=None, payload_bytes=bytes(900), **of(2))
    put(desk.conn, **of(2))
    put(desk.conn, **of(3))
    assert await desk.taken(bytes=1000) == [first]


async def test_event_waits_while_an_earlier_one_of_its_aggregate_is_in_another_relays_hands(
    desk: Desk, other: Desk
) -> None:
    put(desk.conn, **of(1))
    token, _ = await other.take()
    held, free = put(desk.conn, **of(1)), put(desk.conn, **of(2))
    claim = await desk.claim()
    assert claim.foreign == [token]
    assert [row.first for row in claim.scan.passed] == [held]
    assert [event.id for event in await desk.storage.read(claim.token or token)] == [free]
    # Once known, a lease is found by its token; it need not be newer than what is known.
    seen = {"seen_to": newest(desk)}
    assert await desk.taken(foreign=[token], **seen) == []
    assert await desk.taken(foreign=[], **seen) == [held]


async def test_leases_whose_numbers_have_gone_back_hold_all_the_same(desk: Desk, other: Desk) -> None:
    desk.conn.execute("SELECT setval('event_outbox_lease_seq', 1000)")
    put(desk.conn, **of(1))
    known, _ = await desk.take()
    desk.conn.execute("ALTER SEQUENCE event_outbox_lease_seq RESTART")
    first, _ = put(desk.conn, **of(2)), put(desk.conn, **of(2))
    assert await other.taken(scan=1, own=[known]) == [first]
    assert await desk.taken(seen_to=known, own=[known]) == []


async def test_every_event_behind_one_in_another_relays_hands_waits(desk: Desk, other: Desk) -> None:
    put(desk.conn, **of(1))
    await other.take()
    held = [put(desk.conn, **of(1)) for _ in range(3)]
    claim = await desk.claim()
    assert (claim.claimed, [row.first for row in claim.scan.passed]) == (0, held[:1])


async def test_every_event_behind_one_that_came_back_waits(desk: Desk) -> None:
    retried = put(desk.conn, **of(1))
    await desk.settle(Retry("no"))
    for _ in range(3):
        put(desk.conn, **of(1))
    assert await desk.taken() == []
    desk.change(retried, available_at="created_at + interval '1 us'")
    assert await desk.taken() == [retried, retried + 1, retried + 2, retried + 3]


async def test_events_are_read_in_write_order_wherever_their_rows_lie(desk: Desk) -> None:
    ids = [put(desk.conn) for _ in range(20)]
    # An update puts a row at the end of the table.
    for row_id in reversed(ids[::2]):
        desk.change(row_id, claims="0")
    assert await desk.taken() == ids


async def test_own_events_in_hand_do_not_hold(desk: Desk) -> None:
    put(desk.conn, **of(1))
    token, _ = await desk.take()
    follower = put(desk.conn, **of(1))
    assert await desk.taken(own=[token]) == [follower]


async def test_event_waits_for_the_retry_of_an_earlier_one_and_goes_with_it(desk: Desk) -> None:
    first, second, free = put(desk.conn, **of(1)), put(desk.conn, **of(1)), put(desk.conn, **of(2))
    token, events = await desk.take()
    await desk.storage.settle(
        token, {events[0]: Retry("no"), events[1]: Released("behind"), events[2]: Released("x")}
    )
    later = put(desk.conn, **of(1))
    assert await desk.taken() == [free]
    desk.change(first, available_at="created_at + interval '1 us'")
    assert await desk.taken() == [first, second, later]


async def test_schedule_of_a_writer_holds_nobody_back(desk: Desk) -> None:
    put(desk.conn, available_at="infinity", **of(1))
    later = put(desk.conn, **of(1))
    assert await desk.taken() == [later]


async def test_scheduled_event_goes_at_its_time_and_tells_when_that_is(desk: Desk) -> None:
    row_id = put(desk.conn)
    desk.change(row_id, available_at="now() + interval '0.3 s'")
    claim = await desk.claim()
    assert claim.token is None
    assert claim.next_due_in is not None
    assert 0 < claim.next_due_in <= 0.3
    await anyio.sleep(claim.next_due_in)
    assert await desk.taken() == [row_id]


async def test_scheduled_event_does_not_overtake_the_backlog_of_its_aggregate(database: str) -> None:
    async with claiming(database, batch_size=2) as desk:
        rows = [put(desk.conn, **of(n)) for n in (1, 2, 3)]
        scheduled = put(desk.conn, **of(3))
        desk.change(scheduled, available_at="created_at + interval '1 us'")
        unrelated = put(desk.conn)
        desk.change(unrelated, available_at="created_at + interval '1 us'")
        assert await desk.taken(scan=2) == rows[:2]
        # The scan ends at the last row of the backlog: what is written behind it might be of its aggregate.
        assert await desk.taken(scan=1) == [rows[2], unrelated]
        assert await desk.taken(scan=1, seen_to=newest(desk)) == [scheduled]


async def test_failed_event_holds_its_aggregate_back_only_under_block(database: str) -> None:
    async with (
        claiming(database) as skipping,
        claiming(database, on_failed="block", relay_id="two") as blocking,
    ):
        before, failed, after = (put(skipping.conn, **of(1)) for _ in range(3))
        skipping.change(failed, status="'failed'")
        assert await blocking.taken() == [before]
        assert await skipping.taken(seen_to=newest(skipping)) == [after]


async def test_released_event_goes_first_when_it_is_claimed_again(desk: Desk) -> None:
    released = put(desk.conn, **of(1))
    await desk.settle(Released("away"))
    later, free = put(desk.conn, **of(1)), put(desk.conn, **of(2))
    # A relay whose frontier has passed it leaves its aggregate alone.
    assert await desk.taken(start=released + 1) == [free]
    assert await desk.taken() == [released, later]


async def test_requeued_event_goes_first_and_holds_its_aggregate_until_then(desk: Desk) -> None:
    requeued = put(desk.conn, **of(1))
    await desk.settle(Failed("never"))
    desk.conn.execute(query("failed_requeue", "public"), {"ids": [requeued], "event_ids": [None]})
    later = put(desk.conn, **of(1))
    assert await desk.taken(start=requeued + 1) == []
    assert await desk.taken() == [requeued, later]


async def test_aggregates_that_were_passed_over_or_are_on_their_way_back_are_left_alone(desk: Desk) -> None:
    rows = [put(desk.conn, **of(n)) for n in (1, 2, 3)]
    keys = [desk.row(row)["ordering_key"] for row in rows]
    assert await desk.taken(passed={keys[0]: 1}, held=[keys[1]]) == rows[2:]


async def test_retry_goes_although_its_followers_were_passed_over(desk: Desk) -> None:
    retried = put(desk.conn, **of(1))
    await desk.settle(Retry("no"))
    follower = put(desk.conn, **of(1))
    key = desk.row(retried)["ordering_key"]
    desk.change(retried, available_at="created_at + interval '1 us'")
    assert await desk.taken(start=follower + 1, passed={key: follower}) == [retried]


async def test_retry_is_not_crowded_out_by_scheduled_events_behind_it(database: str) -> None:
    async with claiming(database, batch_size=3) as desk:
        retried = put(desk.conn, attempts=1, last_error="no", **of(1))
        scheduled = [put(desk.conn, **of(1)) for _ in range(5)]
        desk.conn.execute("UPDATE event_outbox SET created_at = now() - interval '1 h'")
        for row_id in scheduled:
            desk.change(row_id, available_at="now() - interval '1 min'")
        desk.change(retried, available_at="now() - interval '1 s'")
        assert await desk.taken() == [retried]
        assert await desk.taken(seen_to=newest(desk)) == scheduled[:3]


async def test_events_behind_a_failed_one_do_not_crowd_out_others_under_block(database: str) -> None:
    async with claiming(database, batch_size=3, on_failed="block") as desk:
        put(desk.conn, status="failed", **of(1))
        for row_id in [put(desk.conn, **of(1)) for _ in range(5)]:
            desk.change(row_id, available_at="created_at + interval '1 us'")
        free = put(desk.conn)
        desk.change(free, available_at="created_at + interval '2 us'")
        assert await desk.taken() == [free]


async def test_resting_route_holds_its_events_and_the_later_ones_of_their_aggregates(desk: Desk) -> None:
    before = put(desk.conn, **of(1))
    put(desk.conn, event_type="stock.counted", **of(1))
    put(desk.conn, **of(1))
    free = put(desk.conn, **of(2))
    theirs = put(desk.conn, tenant_id="globex", event_type="stock.counted")
    claim = await desk.claim(resting=["acme.stock.counted"])
    assert claim.token is not None
    assert [event.id for event in await desk.storage.read(claim.token)] == [before, free, theirs]
    assert [(row.rests, row.first) for row in claim.scan.passed] == [(True, before + 1)]


async def test_resting_tenant_is_left_out_also_when_its_retries_come_due(desk: Desk) -> None:
    put(desk.conn, **of(1))
    retried = put(desk.conn)
    desk.change(retried, available_at="created_at + interval '1 us'", attempts="1")
    theirs = put(desk.conn, tenant_id="globex")
    assert await desk.taken(resting_tenants=["acme"]) == [theirs]


async def test_event_that_may_crash_relays_is_claimed_alone(desk: Desk) -> None:
    before, suspect, after = put(desk.conn), put(desk.conn, claims=5), put(desk.conn)
    assert await desk.taken() == [before]
    claim = await desk.claim()
    assert claim.suspect
    assert [event.id for event in await desk.storage.read(claim.token or UUID(int=0))] == [suspect]
    claim = await desk.claim()
    assert not claim.suspect
    assert [event.id for event in await desk.storage.read(claim.token or UUID(int=0))] == [after]


async def test_without_ordering_nothing_holds_anything(database: str) -> None:
    async with claiming(database, ordering="none") as desk, claiming(database, relay_id="two") as other:
        put(desk.conn, **of(1))
        await other.take()
        retried = put(desk.conn, **of(1))
        desk.change(retried, attempts="1", available_at="now() + interval '1 h'")
        later = put(desk.conn, **of(1))
        assert await desk.taken() == [later]


async def test_claim_starts_where_a_transaction_that_has_ended_may_have_drawn_ids(
    desk: Desk, database: str
) -> None:
    with psycopg.connect(database) as slow:
        late = put(slow, **of(1))
        early = put(desk.conn)
        claim = await desk.claim()
        assert claim.scan.frontier == early
        (writer,) = claim.scan.transactions.running or [claim.scan.transactions.horizon]
        known = {"start": early + 1, "running": [writer], "running_from": [late]}
        assert await desk.taken(**known) == []
        slow.commit()
    assert await desk.taken(**known) == [late]


async def test_claims_take_turns(desk: Desk, database: str) -> None:
    first, second = put(desk.conn, **of(1)), put(desk.conn, **of(1))
    with psycopg.connect(database) as holder:
        holder.execute(query("claim_begin", "public"))
        holder.execute(
            "UPDATE event_outbox SET status = 'in_progress', lease_token = gen_random_uuid(),"
            " lease_until = now() + interval '1 h', claimed_by = 'x' WHERE id = %s",
            [first],
        )
        found: list[int] = []
        async with anyio.create_task_group() as tasks:

            async def claim() -> None:
                found.extend(await desk.taken())

            tasks.start_soon(claim)
            await _waits_for_its_turn(desk.conn)
            holder.commit()
    assert found == []
    assert desk.row(second)["status"] == "pending"


async def test_lease_begins_when_the_turn_has_come_and_not_when_it_was_asked_for(
    desk: Desk, database: str
) -> None:
    put(desk.conn)
    asked_at = lease_clock()
    leased_at: list[float] = []
    with psycopg.connect(database) as holder:
        holder.execute(query("claim_begin", "public"))
        async with anyio.create_task_group() as tasks:

            async def claim() -> None:
                leased_at.append((await desk.claim()).leased_at)

            tasks.start_soon(claim)
            await _waits_for_its_turn(desk.conn)
            await anyio.sleep(0.5)
            holder.commit()
    (began,) = leased_at
    assert asked_at + 0.5 <= began <= lease_clock()
    row = desk.conn.execute(
        "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM event_outbox"
    )
    (left,) = row.fetchone() or (0.0,)
    # Never later than the table has it: until then the events are this relay's.
    assert began + LEASE <= lease_clock() + left + 0.001


async def _waits_for_its_turn(conn: psycopg.Connection) -> None:
    with anyio.fail_after(5):
        while True:
            row = conn.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ).fetchone()
            if row == (1,):
                return
            await anyio.sleep(0.01)


async def test_several_connections_never_claim_one_event_twice(database: str) -> None:
    async with claiming(database, batch_size=7) as desk:
        for n in range(300):
            put(desk.conn, **(of(n % 10) if n % 3 else {}))
        taken: list[int] = []

        async def claim(name: str) -> None:
            async with claiming(database, batch_size=7, relay_id=name) as relay:
                while events := (await _take_and_publish(relay)):
                    taken.extend(events)

        async with anyio.create_task_group() as tasks:
            for name in ("one", "two", "three", "four"):
                tasks.start_soon(claim, name)
        while events := await _take_and_publish(desk):
            taken.extend(events)
        assert sorted(taken) == list(range(1, 301))


async def _take_and_publish(desk: Desk) -> list[int]:
    claim = await desk.claim()
    if claim.token is None:
        return []
    events = await desk.storage.read(claim.token)
    await desk.storage.settle(claim.token, dict.fromkeys(events, Published("OUTBOX", 1)))
    return [event.id for event in events]
