from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.errors import NatsUnreachable, OutboxError
from outbox_notify.jetstream.resender import resending
from outbox_notify.operations.replay import Which, extent, find, next_events, sending, stepped
from outbox_notify.operations.replaying import CHUNK
from outbox_notify.postgres.queries import query
from tests.support.arrivals import numbers
from tests.support.audit import acts
from tests.support.events import put, put_failed
from tests.support.front import LOSE, LOSE_ACK, REFUSE, STORE, standing_before
from tests.support.postgres import ON_BOTH
from tests.support.replays import Run, assert_each_once_in_order, begin, put_published, replayed
from tests.support.stream import connected, create_stream, read_stream, stored, update_stream

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from outbox_notify.operations.replay import Replay
    from outbox_notify.relay.claims import ClaimedEvent
    from tests.support.front import Answer


@pytest.fixture
def nats_url(nats_server: EmbeddedNats) -> str:
    """URL of a server with the stream."""
    create_stream(nats_server.url, "events.>", duplicate_window=600_000_000_000)
    return nats_server.url


def ids_of(conn: psycopg.Connection, replay: Replay, rows: int = 100, size: int = 10**9) -> list[int]:
    return [event.id for event in next_events(conn, "public", replay, rows, size)]


def send(nats_url: str, replay: Replay, events: list[ClaimedEvent]) -> int:
    """Publish events of a replay and forget it, as a process does that is killed then."""

    async def publish() -> int:
        async with resending(Settings(nats_url=nats_url), replay.id) as resender:
            return len(await resender.publish(events))

    return anyio.run(publish)


@ON_BOTH
def test_filters_narrow_down_what_was_published(conn: psycopg.Connection) -> None:
    now = datetime.now(UTC)
    put(conn), put_failed(conn)
    ours, theirs, other = (
        put(conn, status="published", published_at=now - timedelta(hours=age), **columns)
        for age, columns in (
            (3, {}),
            (2, {"tenant_id": "globex"}),
            (1, {"event_type": "stock.counted"}),
        )
    )
    for which, ids in (
        (Which(), [ours, theirs, other]),
        (Which(ids=[other, ours]), [ours, other]),
        (Which(tenant="globex"), [theirs]),
        (Which(event_type="stock.counted"), [other]),
        (Which(since=now - timedelta(hours=2)), [theirs, other]),
        (Which(until=now - timedelta(hours=2)), [ours]),
        (Which(since=now - timedelta(hours=2), until=now - timedelta(hours=1), tenant="globex"), [theirs]),
        (Which(tenant="nobody"), []),
    ):
        meant = extent(conn, "public", which)
        assert (meant.events, meant.last_id) == (len(ids), max(ids, default=0))
        assert ids_of(conn, begin(conn, which)) == ids


@ON_BOTH
def test_chunk_ends_before_its_bodies_grow_too_large(conn: psycopg.Connection) -> None:
    first, second, third = (put(conn, status="published", published_at="yesterday") for _ in range(3))
    replay = begin(conn)
    assert ids_of(conn, replay, rows=2) == [first, second]
    assert ids_of(conn, replay, size=1) == [first]
    replay = stepped(conn, "public", replay, first)
    assert ids_of(conn, replay, size=1) == [second]
    assert ids_of(conn, stepped(conn, "public", replay, third, finished=True)) == []


def test_what_is_published_after_the_replay_began_is_not_meant(conn: psycopg.Connection) -> None:
    late, meant = put(conn), put(conn, status="published", published_at="yesterday")
    replay = begin(conn)
    conn.execute(
        "UPDATE event_outbox SET status = 'published', published_at = clock_timestamp() WHERE id = %s", [late]
    )
    assert ids_of(conn, replay) == [meant]


def test_next_events_are_found_along_the_primary_key_whatever_the_filter(conn: psycopg.Connection) -> None:
    """Or each of many chunks would read the whole table and sort it."""
    put_published(conn, 10_000)
    conn.execute("ANALYZE event_outbox")
    replay = begin(conn, Which(tenant="rare"))
    values = {**asdict(Which(tenant="rare")), **asdict(replay), "rows": 500, "bytes": 10**9}
    with conn.transaction():
        conn.execute(query("replay_begin", "public"))
        explain = b"EXPLAIN (FORMAT TEXT) " + query("replay_batch", "public").as_bytes(conn)
        plan = "\n".join(line for (line,) in conn.execute(explain, values))
    assert "Index Scan using event_outbox_pkey" in plan
    assert "Seq Scan" not in plan
    assert "Sort Key: event_outbox.id" not in plan.partition("->  Limit")[2]


def test_whole_table_is_sent_in_chunks(conn: psycopg.Connection, nats_url: str) -> None:
    put_published(conn, 2 * CHUNK + 1)
    run = Run(conn, nats_url, begin(conn, Which(tenant="acme")))
    done = run()
    assert run.steps == [CHUNK, CHUNK, 1]
    assert (done.replayed, done.duplicates, done.refused) == (2 * CHUNK + 1, 0, 0)
    assert done.finished_at is not None
    assert_each_once_in_order(nats_url, done.id, conn)
    assert [(act["act"], act["events"]) for act in acts(conn)] == [("replay", 2 * CHUNK + 1)]


def test_message_is_that_of_the_event_but_for_its_id_and_one_header(
    conn: psycopg.Connection, nats_url: str
) -> None:
    row_id = put(
        conn,
        status="published",
        published_at="yesterday",
        headers='{"traceparent": "00-1"}',
        aggregate_type="bin",
        aggregate_id="7",
        created_at="infinity",
    )
    [(event_id,)] = conn.execute("SELECT event_id::text FROM event_outbox WHERE id = %s", [row_id])
    done = Run(conn, nats_url, begin(conn))()
    [message] = read_stream(nats_url)
    assert message.event_id == f"{event_id};r={done.id}"
    assert message.headers["Outbox-Replay"] == done.id
    assert (message.headers["ce-id"], message.headers["traceparent"]) == (event_id, "00-1")
    assert message.headers["ce-time"] == "9999-12-31T23:59:00.000000Z"
    assert (message.subject, message.json) == ("events.acme.stock.moved", {"n": 1})


def test_stopped_and_gone_on_with_sends_each_event_once(conn: psycopg.Connection, nats_url: str) -> None:
    put_published(conn, 2 * CHUNK + 100)
    stopped = Run(conn, nats_url, begin(conn), chunks=1)()
    assert (stopped.finished_at, stopped.replayed, stored(nats_url)) == (None, CHUNK, CHUNK)
    done = Run(conn, nats_url, find(conn, "public", stopped.id))()
    assert (done.replayed, done.duplicates) == (2 * CHUNK + 100, 0)
    assert_each_once_in_order(nats_url, done.id, conn)


def test_chunk_that_was_sent_but_not_written_down_is_stored_once_and_no_alarm(
    conn: psycopg.Connection, nats_url: str
) -> None:
    put_published(conn, 10)
    replay = begin(conn)
    events = next_events(conn, "public", replay, 10, 10**9)
    sending(conn, "public", replay, events[-1].id)
    assert send(nats_url, replay, events[:7]) == 7
    done = Run(conn, nats_url, find(conn, "public", replay.id))()
    assert (done.replayed, done.duplicates) == (10, 0)
    assert_each_once_in_order(nats_url, done.id, conn)


def test_ack_flagged_as_duplicate_of_what_was_never_sent_is_counted(
    conn: psycopg.Connection, nats_url: str
) -> None:
    put_published(conn, 10)
    replay = begin(conn)
    send(nats_url, replay, next_events(conn, "public", replay, 4, 10**9))
    done = Run(conn, nats_url, replay)()
    assert (done.replayed, done.duplicates) == (10, 4)


def test_two_processes_do_not_go_on_with_one_replay(conn: psycopg.Connection, nats_url: str) -> None:
    put_published(conn, 3 * CHUNK)
    replay = begin(conn)
    Run(conn, nats_url, replay, chunks=1)()
    late = Run(conn, nats_url, replay)
    with pytest.raises(OutboxError, match="goes on in another process"):
        late()
    assert late.steps == []
    assert stored(nats_url) == CHUNK
    # Nor do they count a chunk twice that both have sent.
    with pytest.raises(OutboxError, match="goes on in another process"):
        stepped(conn, "public", replay, CHUNK, replayed=CHUNK)
    assert find(conn, "public", replay.id).replayed == CHUNK


def test_refused_event_is_told_and_the_others_of_its_aggregate_follow(
    conn: psycopg.Connection, nats_url: str
) -> None:
    put_published(conn, 1, aggregates=1)
    large = put(
        conn,
        status="published",
        published_at="yesterday",
        aggregate_type="bin",
        aggregate_id="bin-0",
        payload=None,
        payload_bytes=b"x" * 5000,
    )
    put_published(conn, 2, aggregates=1)
    update_stream(nats_url, max_msg_size=2000)
    run = Run(conn, nats_url, begin(conn))
    done = run()
    assert (done.replayed, done.refused) == (3, 1)
    assert [row_id for row_id, _ in run.refused] == [large]
    assert numbers(read_stream(nats_url)) == [1, 1, 2]


def test_full_stream_stops_it_in_order_and_it_goes_on_when_there_is_room(
    conn: psycopg.Connection, nats_url: str
) -> None:
    put_published(conn, 100)
    update_stream(nats_url, max_msgs=40, discard="new")
    run = Run(conn, nats_url, begin(conn))
    with pytest.raises(OutboxError, match="maximum messages exceeded"):
        run()
    assert stored(nats_url) == 40
    update_stream(nats_url, max_msgs=-1)
    again = find(conn, "public", run.replaying.replay.id)
    assert 0 < again.replayed <= 40
    done = Run(conn, nats_url, again)()
    assert (done.replayed, done.duplicates) == (100, 0)
    assert_each_once_in_order(nats_url, done.id, conn)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(REFUSE, id="refused"),
        pytest.param(LOSE, id="lost", marks=pytest.mark.slow),
        pytest.param(LOSE_ACK, id="ack lost"),
    ],
)
def test_event_in_the_middle_that_gets_no_ack_is_overtaken_by_none_of_its_aggregate(
    conn: psycopg.Connection, nats_server: EmbeddedNats, answer: Answer
) -> None:
    put_published(conn, 60, aggregates=4)
    [(unlucky,)] = conn.execute("SELECT event_id::text FROM event_outbox WHERE id = 22")
    tries: Counter[str] = Counter()

    def decide(_subject: str, message_id: str) -> Answer:
        tries[message_id] += 1
        return answer if message_id.startswith(unlucky) and tries[message_id] == 1 else STORE

    replay = begin(conn)
    with standing_before(nats_server.url, decide):
        with pytest.raises(OutboxError):
            Run(conn, nats_server.url, replay)()
        stopped = find(conn, "public", replay.id)
        assert stored(nats_server.url) > stopped.position == 21
        done = Run(conn, nats_server.url, stopped)()
    assert (done.replayed, done.duplicates) == (60, 0)
    assert_each_once_in_order(nats_server.url, replay.id, conn)


def test_without_a_stream_nothing_is_sent_and_none_is_made(
    conn: psycopg.Connection, nats_server: EmbeddedNats
) -> None:
    put_published(conn, 1)
    with pytest.raises(OutboxError, match=r"no stream takes replayed\.>"):
        Run(conn, nats_server.url, begin(conn, prefix="replayed"))()
    create_stream(nats_server.url, "replayed.>", name="OTHER")
    Run(conn, nats_server.url, begin(conn, prefix="replayed"))()
    [message] = read_stream(nats_server.url, "OTHER")
    assert message.subject == "replayed.acme.stock.moved"
    assert replayed([message]) == [message]


def test_server_that_goes_away_is_told_and_nothing_is_lost(
    conn: psycopg.Connection, nats_url: str, nats_server: EmbeddedNats
) -> None:
    put_published(conn, 2 * CHUNK)
    stopped = Run(conn, nats_url, begin(conn), chunks=1)()
    nats_server.kill()
    with pytest.raises(NatsUnreachable):
        Run(conn, nats_url, stopped)()
    nats_server.start()
    done = Run(conn, nats_url, find(conn, "public", stopped.id))()
    assert (done.replayed, done.duplicates) == (2 * CHUNK, 0)
    assert_each_once_in_order(nats_url, done.id, conn)


def test_stream_that_is_gone_meanwhile_stops_it(conn: psycopg.Connection, nats_url: str) -> None:
    put_published(conn, 10)
    replay = begin(conn)

    async def sent_without_a_stream() -> str:
        async with (
            resending(Settings(nats_url=nats_url), replay.id) as resender,
            connected(nats_url) as client,
        ):
            await client.jetstream().delete_stream("OUTBOX")
            assert await resender.publish(next_events(conn, "public", replay, 10, 10**9)) == {}
            return str(resender.trouble)

    assert "no stream takes the subject" in anyio.run(sent_without_a_stream)


def test_unknown_replay_is_told_with_those_that_are_unfinished(conn: psycopg.Connection) -> None:
    with pytest.raises(OutboxError, match="there is no replay nothing: none is unfinished"):
        find(conn, "public", "nothing")
    replay = begin(conn)
    with pytest.raises(OutboxError, match=f"unfinished are {replay.id}"):
        find(conn, "public", "nothing")
