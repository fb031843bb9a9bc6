"""Replays, started and run in this process, and what the stream holds of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from outbox_notify.config.settings import Settings
from outbox_notify.operations.replay import Which, extent, start
from outbox_notify.operations.replaying import Replaying
from tests.support.stream import read_stream

if TYPE_CHECKING:
    import psycopg

    from outbox_notify.operations.replay import Replay
    from tests.support.stream import StreamMessage

EVERYTHING = Which()


def put_published(
    conn: psycopg.Connection, events: int, *, aggregates: int = 3, tenant: str = "acme"
) -> None:
    """Insert events that were published a minute ago: body `{"n": 1}` and so on, aggregates in turn."""
    conn.execute(
        """
        INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload, status, published_at)
        SELECT %(tenant)s, 'stock.moved', 'bin', 'bin-' || n %% %(aggregates)s, jsonb_build_object('n', n),
            'published', now() - interval '1 minute'
        FROM generate_series(1, %(events)s) AS n
        """,
        {"tenant": tenant, "events": events, "aggregates": aggregates},
    )


def begin(conn: psycopg.Connection, which: Which = EVERYTHING, prefix: str = "events") -> Replay:
    """Write down a new replay."""
    return start(conn, "public", which, extent(conn, "public", which), prefix)


class Run:
    """One run of a replay in this process.

    Args:
        conn: in autocommit mode.
        nats_url: where to send it.
        replay: which one.
        chunks: stop after so many.
    """

    def __init__(
        self, conn: psycopg.Connection, nats_url: str, replay: Replay, chunks: int | None = None
    ) -> None:
        self.steps: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.replaying = Replaying(
            conn,
            "public",
            Settings(nats_url=nats_url, publish_timeout=2),
            replay,
            rate=None,
            stopping=lambda: len(self.steps) == chunks,
            on_chunk=self.steps.append,
            on_refused=lambda row_id, reason: self.refused.append((row_id, reason)),
        )

    def __call__(self) -> Replay:
        """Send what is left."""
        return self.replaying.run()


def assert_each_once_in_order(nats_url: str, replay_id: str, conn: psycopg.Connection) -> None:
    """Fail unless the stream holds every published event once for a replay, each aggregate in the order written."""
    rows = conn.execute(
        "SELECT id, event_id::text, ordering_key FROM event_outbox WHERE status = 'published' ORDER BY id"
    ).fetchall()
    sent = [message for message in read_stream(nats_url) if message.event_id.endswith(f";r={replay_id}")]
    assert {message.headers["Outbox-Replay"] for message in sent} == {replay_id}
    ids = [message.event_id.partition(";")[0] for message in sent]
    assert Counter(ids) == Counter(event_id for _, event_id, _ in rows)
    place = {event_id: (key, row_id) for row_id, event_id, key in rows}
    for key in {key for _, _, key in rows}:
        of_key = [place[event_id][1] for event_id in ids if place[event_id][0] == key]
        assert of_key == sorted(of_key)


def replayed(messages: list[StreamMessage]) -> list[StreamMessage]:
    """Return the messages of replays."""
    return [message for message in messages if "Outbox-Replay" in message.headers]
