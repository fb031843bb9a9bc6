"""Bodies far longer on the wire than in the table: a relay reads what it has room for, and gives back the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outbox_notify.postgres import bodies
from tests.support.claiming import claiming
from tests.support.events import put

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.relay.claims import ClaimedEvent
    from tests.support.arrivals import Drain

# A 1 with 131,071 zeros, and a few bytes as it is stored.
NUMBER, LENGTH = "1e131071", 131_072


def sizes(events: list[ClaimedEvent]) -> list[int | None]:
    return [None if event.body is None else len(event.body) for event in events]


@pytest.mark.anyio
async def test_bodies_are_read_until_the_room_is_used_up_and_the_first_in_any_case(database: str) -> None:
    assert await read_with(database, room=3 * LENGTH) == [LENGTH, LENGTH, LENGTH]
    assert await read_with(database, room=2 * LENGTH) == [LENGTH, LENGTH, None]
    assert await read_with(database, room=LENGTH - 1) == [LENGTH, None, None]


async def read_with(database: str, room: int) -> list[int | None]:
    async with claiming(database, max_in_flight_bytes=room) as desk:
        desk.conn.execute("DELETE FROM event_outbox")
        for _ in range(3):
            put(desk.conn, payload=NUMBER)
        _, events = await desk.take()
        assert [event.flaw for event in events] == [None] * 3
        return sizes(events)


@pytest.mark.anyio
async def test_body_that_no_stream_takes_fails_unread(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_LARGEST", LENGTH)
    async with claiming(database, max_in_flight_bytes=LENGTH) as desk:
        for payload in (f"[{NUMBER}]", NUMBER, NUMBER):
            put(desk.conn, payload=payload)
        _, events = await desk.take()
        assert sizes(events) == [None, LENGTH, None]
        assert [event.flaw is not None for event in events] == [True, False, False]


@pytest.mark.anyio
async def test_what_was_read_with_a_claim_is_kept_until_the_next_one(database: str) -> None:
    async with claiming(database) as desk:
        put(desk.conn)
        claim = await desk.claim()
        put(desk.conn)
        await desk.claim()
        desk.conn.execute("UPDATE event_outbox SET payload = '2' WHERE id = 1")
        assert claim.token is not None
        assert [event.body for event in await desk.storage.read(claim.token)] == [b"2"]


def test_events_of_an_aggregate_that_come_back_for_want_of_room_keep_their_order(
    arrive: Drain, conn: psycopg.Connection
) -> None:
    for n in range(9):
        put(conn, payload=f'{{"n": {n}, "large": {NUMBER}}}', aggregate_type="bin", aggregate_id=str(n % 2))
    messages = arrive(max_in_flight_bytes=3 * LENGTH)
    numbers = [int(message.body[6:7]) for message in messages]
    assert sorted(numbers) == list(range(9))
    assert [n for n in numbers if n % 2] == [1, 3, 5, 7]
    assert [n for n in numbers if n % 2 == 0] == [0, 2, 4, 6, 8]
