from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from outbox_notify.errors import OutboxError
from outbox_notify.operations.pause import Target, pause, pause_of, pauses, resume
from tests.support.audit import acts
from tests.support.postgres import ON_BOTH

ACME = Target("acme")


@ON_BOTH
def test_pauses_are_listed_until_they_are_resumed(conn: psycopg.Connection) -> None:
    targets = [ACME, Target(event_type="stock.moved"), Target("acme", "stock.moved")]
    for target in targets:
        assert pause(conn, "public", target, reason="because").target == target
    assert [each.target for each in pauses(conn, "public")] == targets
    assert [each.target for each in resume(conn, "public", targets[1])] == [targets[1]]
    assert [each.target for each in resume(conn, "public", None)] == [targets[0], targets[2]]
    assert (pauses(conn, "public"), resume(conn, "public", None)) == ([], [])


def test_pause_says_who_when_why_and_until_when(conn: psycopg.Connection) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    made = pause(conn, "public", ACME, until=until, reason="a reason")
    assert (made.by, made.until, made.reason) == (conn.info.user, until, "a reason")
    assert pauses(conn, "public") == [made]
    lasting = pause(conn, "public", ACME, lasting=60)
    assert lasting.until is not None
    assert timedelta(seconds=50) < lasting.until - datetime.now(UTC) < timedelta(seconds=70)
    assert pauses(conn, "public") == [lasting]


def test_pause_that_is_over_is_none(conn: psycopg.Connection) -> None:
    pause(conn, "public", ACME)
    conn.execute("UPDATE event_outbox_pause SET until = now() - interval '1 s'")
    assert pauses(conn, "public") == []
    with pytest.raises(OutboxError, match=r"^tenant acme is not paused$"):
        resume(conn, "public", ACME)
    pause(conn, "public", Target("globex"))
    assert conn.execute("SELECT tenant_id FROM event_outbox_pause").fetchall() == [("globex",)]


def test_pause_that_would_be_over_is_refused_and_changes_nothing(conn: psycopg.Connection) -> None:
    before = pause(conn, "public", ACME)
    with pytest.raises(OutboxError, match="is past"):
        pause(conn, "public", ACME, until=datetime.now(UTC) - timedelta(seconds=1))
    assert pauses(conn, "public") == [before]
    assert len(acts(conn)) == 1


def test_resuming_what_is_not_paused_says_what_is(conn: psycopg.Connection) -> None:
    pause(conn, "public", Target("acme", "stock.moved"))
    with pytest.raises(
        OutboxError, match=r"^tenant acme is not paused; paused is type stock.moved of tenant acme$"
    ):
        resume(conn, "public", ACME)


def test_pause_of_an_event_is_found(conn: psycopg.Connection) -> None:
    pause(conn, "public", Target("globex", "stock.moved"))
    pause(conn, "public", Target(event_type="stock.counted"))
    for event, target in {
        ("globex", "stock.moved"): Target("globex", "stock.moved"),
        ("acme", "stock.counted"): Target(event_type="stock.counted"),
        ("acme", "stock.moved"): None,
        ("globex", "stock"): None,
    }.items():
        found = pause_of(conn, "public", *event)
        assert (found and found.target) == target


def test_every_pause_and_resume_leaves_its_trace(conn: psycopg.Connection) -> None:
    pause(conn, "public", ACME, lasting=60, reason="why")
    resume(conn, "public", None)
    assert [(act["act"], act["arguments"]) for act in acts(conn)] == [
        ("pause", {"tenant_id": "acme", "lasting": 60, "reason": "why"}),
        ("resume", {"everything": True}),
    ]


def test_relays_are_asked_to_look_at_once(conn: psycopg.Connection, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as relay:
        relay.execute("LISTEN event_outbox_public")
        pause(conn, "public", ACME)
        resume(conn, "public", ACME)
        assert [note.payload for note in relay.notifies(timeout=10, stop_after=2)] == ["scan", "scan"]
