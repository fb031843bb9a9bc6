"""Rows that no rule of the table has held back: each fails by itself, and neither connection nor stream notices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anyio import run
from psycopg import sql

from tests.support.outbox import OutboxTable, fill
from tests.support.processes import wait_for
from tests.support.stream import connected, create_stream, spying, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import CommandProcess, Starter

GOOD = 100
MAX_PAYLOAD = 2**20
# As tenant and as event type; PostgreSQL itself refuses NUL.
SUBJECTS = [
    "", " ", "*", ">", "a.*", "a.>", "a b", "a\tb", "a\r\nPUB x 0\r\n", "a\n", "\n", "a..b", ".a", "a.", "\x7f",
    "\xe4", "\U0001f4a5", "$JS.API.STREAM.PURGE.OUTBOX", "$SYS.REQ", "a" * 5000, ".".join("abcdefghi"),
]  # fmt: skip
HEADERS: list[Any] = [
    {"Nats-Rollup": "all"}, {"nats-rollup": "sub"}, {"nats-msg-id": "mine"}, {"Nats-Expected-Last-Sequence": "0"},
    {"NATS-EXPECTED-STREAM": "X"}, {"Nats-TTL": "1s"}, {"Nats-Batch-Id": "b"}, {"Nats-Incr": "1"},
    {"X": "a\r\nNats-Rollup: all"}, {"X": "a\nNats-Rollup: all"}, {"X": "\r"}, {"X\r\nNats-Rollup": "all"},
    {"X: y\r\nNats-Rollup": "all"}, {"": "x"}, {"a b": "x"}, {"a:b": "x"}, {"\xe4": "x"}, {"X": 1}, {"X": None},
    {"X": True}, {"X": ["a"]}, {"X": {"y": "z"}}, {"ce-id": "another"}, {"Content-Type": "x"}, {"Status": "503"},
    {"Description": "x"}, {"X": "a" * 70_000}, {"X": "a" * 2_000_000}, [1, 2], [{"X": "y"}], "text", 5, None,
]  # fmt: skip
CONTENT_TYPES = ["text/plain\r\nNats-Rollup: all", "text/plain\nNats-Rollup: all", "a\r"]


def drop_rules(conn: psycopg.Connection) -> None:
    """Take away every rule of the table about what events may say."""
    for domain in ("token", "type", "content_type", "aggregate_id", "headers"):
        name = f"event_outbox_{domain}"
        conn.execute(
            sql.SQL("ALTER DOMAIN {} DROP CONSTRAINT {}").format(
                sql.Identifier(name), sql.Identifier(f"{name}_rule")
            )
        )


def insert(conn: psycopg.Connection, **columns: Any) -> None:
    row = {"tenant_id": "acme", "event_type": "stock.moved", "payload": "{}", **columns}
    conn.execute(
        sql.SQL("INSERT INTO event_outbox ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
        ),
        row,
    )


def among_good(conn: psycopg.Connection, poison: Iterable[dict[str, Any]]) -> int:
    """Insert each bad row between good ones; return how many bad ones there are."""
    fill(conn, GOOD // 2)
    bad = 0
    for columns in poison:
        insert(conn, **columns)
        bad += 1
    fill(conn, GOOD // 2)
    return bad


def settled(conn: psycopg.Connection, relay: CommandProcess, bad: int) -> None:
    """Wait for the end, and make sure that the bad failed, each with its reason, and nothing else happened."""
    table = OutboxTable(conn)
    table.wait_until_settled()
    assert table.count() == {"published": GOOD, "failed": bad}
    assert all(row.last_error for row in table.rows() if row.status == "failed")
    # One record an event, written a moment later: what was in the row can neither break a line nor make one.
    wait_for(lambda: len(relay.records("event.failed")) == bad, 5, "a record of each")
    assert len(relay.records("nats.connected")) == 1
    assert not relay.records("outage.started")


def test_t29_payloads_that_are_too_large_only_with_their_headers_fail_and_the_client_lives_on(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    sizes = (10, 1, 0, -1)
    bad = among_good(
        conn, [{"payload": None, "payload_bytes": b"x" * (MAX_PAYLOAD - below)} for below in sizes]
    )
    relay = relay_process()
    settled(conn, relay, bad)
    assert stored(nats_server.url) == GOOD
    account(lost=0, failed=bad)


def test_t30_subjects_that_would_hurt_fail_and_nobody_hears_of_them(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    drop_rules(conn)
    poison = [{"event_type": text} for text in SUBJECTS] + [
        {"tenant_id": text} for text in [*SUBJECTS, "a.b"]
    ]
    bad = among_good(conn, poison)
    with spying(nats_server.url, ">") as spy:
        relay = relay_process()
        settled(conn, relay, bad)
    ours = {subject for subject in spy.subjects if not subject.startswith(("_INBOX.", "$JS.EVENT."))}
    assert {subject for subject in ours if subject.startswith("$JS.API.")} <= {
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.INFO.OUTBOX",
        "$JS.API.STREAM.CREATE.OUTBOX",
    }
    assert {subject for subject in ours if not subject.startswith("$JS.API.")} == {"events.acme.stock.moved"}
    assert stored(nats_server.url) == GOOD
    account(lost=0, failed=bad)


def test_t40_headers_that_steer_jetstream_fail_and_the_stream_keeps_what_it_has(
    conn: psycopg.Connection,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
) -> None:
    url = nats_server.url
    create_stream(url, "events.>", allow_rollup_hdrs=True, allow_msg_ttl=True, allow_atomic=True)
    drop_rules(conn)
    poison = [{"headers": json.dumps(header)} for header in HEADERS]
    bad = among_good(conn, [*poison, *({"content_type": text} for text in CONTENT_TYPES)])
    relay = relay_process()
    settled(conn, relay, bad)
    assert stored(url) == GOOD
    # And it would have: this is what one of them does to the stream.
    run(_roll_up, url)
    assert stored(url) == 1
    account(lost=0, failed=bad)


async def _roll_up(url: str) -> None:
    async with connected(url) as client:
        headers = {"Nats-Rollup": "all"}
        await client.jetstream().publish("events.acme.stock.moved", b"", headers=headers)
