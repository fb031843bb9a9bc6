"""What is said of one event by what PostgreSQL knows: its row, who is in the way, what may have become of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.errors import OutboxError, SchemaError
from outbox_notify.operations import asking
from outbox_notify.operations.asking import gather
from outbox_notify.operations.evidence import Evidence, Missing
from outbox_notify.operations.pause import Target, pause
from outbox_notify.operations.status import read_status
from outbox_notify.operations.why import Rules, Why, explain, missing
from outbox_notify.postgres.relay_names import Kind, relay_name
from outbox_notify.writers.ids import new_event_id
from tests.support.events import age, put, put_failed
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Rules(max_attempts=10, sweep_interval=5, subject_prefix="events")
INSERT = "INSERT INTO event_outbox (tenant_id, event_type, payload) VALUES ('acme', 'stock.moved', '1')"
ITEM = {"aggregate_type": "item", "aggregate_id": "42"}


def why(conn: psycopg.Connection, name: int | UUID, *, ordered: bool = True, block: bool = False) -> Why:
    found = gather(conn, "public", name, ordered=ordered, block=block)
    assert isinstance(found, Evidence)
    return explain(found, RULES)


def why_missing(conn: psycopg.Connection, name: int | UUID) -> str:
    found = gather(conn, "public", name, ordered=True, block=False)
    assert isinstance(found, Missing)
    return missing(found)


@contextmanager
def connected(database: str, *kinds: Kind) -> Iterator[None]:
    """Hold connections as those of an idle relay."""
    connections = [
        psycopg.connect(database, application_name=relay_name(Settings(relay_id="relay-1"), kind))
        for kind in kinds
    ]
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


@pytest.fixture
def idle_relay(database: str) -> Iterator[None]:
    with connected(database, "work", "listen", "lock"):
        yield


def test_published_event_is_found_by_both_of_its_names(conn: psycopg.Connection) -> None:
    event_id = uuid4()
    row_id = put(conn, event_id=event_id, status="published")
    conn.execute("UPDATE event_outbox SET published_at = created_at + interval '5 ms'")
    for name in (row_id, event_id):
        found = why(conn, name)
        assert found.state == "published"
        assert "5 ms after it was written, as events.acme.stock.moved" in found.sentence


def test_event_that_waits_for_its_time_says_until_when(conn: psycopg.Connection) -> None:
    row_id = put(conn)
    conn.execute("UPDATE event_outbox SET available_at = now() + interval '3 hours'")
    found = why(conn, row_id)
    assert (found.state, "for 3 h more" in found.sentence) == ("scheduled", True)
    conn.execute("UPDATE event_outbox SET available_at = 'infinity'")
    assert why(conn, row_id).sentence == "scheduled by its writer for ever (available_at is infinity)"


def test_event_that_was_tried_says_which_attempt_comes_when_and_why(conn: psycopg.Connection) -> None:
    row_id = put(conn, attempts=3, last_error="not today (19999)")
    conn.execute("UPDATE event_outbox SET available_at = now() + interval '90 seconds'")
    found = why(conn, row_id)
    assert found.state == "retrying"
    assert "for 90 s more; attempt 4 of 10 comes then, after: not today (19999)" in found.sentence


def test_failed_event_says_why_and_what_to_do(conn: psycopg.Connection) -> None:
    row_id = put_failed(conn)
    assert why(conn, row_id) == Why(
        "failed", f"failed after 10 attempts: no good; `outbox-notify failed requeue {row_id}` sends it again"
    )


def test_event_that_is_due_without_a_relay_says_so(conn: psycopg.Connection, idle_relay: None) -> None:
    row_id = put(conn)
    assert why(conn, row_id).state == "due"
    age(conn, row_id, "10 minutes")
    conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ 'relay-1'")
    found = why(conn, row_id)
    assert found.state == "no_relay"
    assert found.sentence == "due for 10 m, but no relay is connected: start outbox-notify relay"


def test_relay_that_does_not_listen_leaves_events_to_the_sweep(
    conn: psycopg.Connection, database: str
) -> None:
    row_id = put(conn)
    with connected(database, "work"):
        found = why(conn, row_id)
    assert found.state == "wake_down"
    assert "no relay listens: next sweep in 500 ms at most" in found.sentence


@pytest.mark.usefixtures("idle_relay")
def test_events_before_it_are_counted(conn: psycopg.Connection) -> None:
    for _ in range(3):
        put(conn)
    found = why(conn, put(conn))
    assert found.state == "due"
    assert "3 due events are before it; relays: relay-1 is awake" in found.sentence


@ON_BOTH
@pytest.mark.usefixtures("idle_relay")
def test_transaction_that_holds_the_horizon_for_long_is_named(
    conn: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = put(conn)
    with psycopg.connect(database, application_name="nightly report") as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM event_outbox")
        pid = report.info.backend_pid
        assert "dead rows" not in why(conn, row_id).sentence
        monkeypatch.setattr(asking, "_LONG", 0.0)
        found = why(conn, row_id)
    assert found.state == "due"
    assert f"claims pass by dead rows: pid {pid} (nightly report) of role postgres keeps" in found.sentence
    assert "dead rows" not in why(conn, row_id).sentence


@pytest.mark.usefixtures("idle_relay")
def test_event_waits_for_an_earlier_one_of_its_aggregate(conn: psycopg.Connection) -> None:
    first = put(conn, attempts=2, last_error="not today (19999)", **ITEM)
    put(conn, **ITEM)
    last, other = put(conn, **ITEM), put(conn, aggregate_type="item", aggregate_id="43")
    conn.execute("UPDATE event_outbox SET available_at = now() + interval '1 minute' WHERE id = %s", [first])
    found = why(conn, last)
    assert found.state == "behind"
    assert (
        f"waits for event {first} of its aggregate item/42 (pending, 2 attempts): waits until"
        in found.sentence
    )
    assert "attempt 3 of 10 comes then" in found.sentence
    assert why(conn, other).state == why(conn, last, ordered=False).state == "due"


@pytest.mark.usefixtures("idle_relay")
def test_failed_event_holds_back_its_aggregate_only_where_that_is_set(conn: psycopg.Connection) -> None:
    first, second = put_failed(conn, **ITEM), put(conn, **ITEM)
    assert why(conn, second).state == "due"
    found = why(conn, second, block=True)
    assert found.state == "behind"
    assert f"event {first} of its aggregate item/42 (failed, 10 attempts): failed after 10" in found.sentence


@pytest.mark.usefixtures("idle_relay")
def test_what_came_back_says_why(conn: psycopg.Connection) -> None:
    requeued, retried = (
        put(conn, last_error="requeued"),
        put(conn, attempts=2, last_error="not today (19999)"),
    )
    assert why(conn, requeued) == Why(
        "returned", "came back without an attempt counted, and is tried again: requeued"
    )
    assert why(conn, retried) == Why("retrying", "attempt 3 of 10 is due, after: not today (19999)")
    # What it waited for is done.
    assert why(conn, put(conn, last_error="waits for event 7 of its aggregate", **ITEM)).state == "due"


@pytest.mark.usefixtures("idle_relay")
@ON_BOTH
@pytest.mark.parametrize("prepared", [False, True], ids=["open", "prepared"])
def test_transaction_that_has_locked_the_row_is_named(
    conn: psycopg.Connection, database: str, *, prepared: bool
) -> None:
    row_id = put(conn)
    with psycopg.connect(database, application_name="somebody") as blocker:
        blocker.execute("SELECT FROM event_outbox WHERE id = %s FOR UPDATE", [row_id])
        who = f"pid {blocker.info.backend_pid} (somebody)"
        if prepared:
            blocker.execute("SELECT pg_current_xact_id()")
            blocker.execute("PREPARE TRANSACTION 'forgotten'")
            who = "prepared transaction forgotten"
        found = why(conn, row_id)
        if prepared:
            conn.execute("ROLLBACK PREPARED 'forgotten'")
        assert found.state == "locked"
        assert (
            f"no relay can claim it: {who} of role postgres has the row of the event locked" in found.sentence
        )
    assert why(conn, row_id).state == "due"


@pytest.mark.usefixtures("idle_relay")
def test_who_has_locked_the_table_is_named(conn: psycopg.Connection, database: str) -> None:
    row_id = put(conn)
    with psycopg.connect(database, application_name="builder") as blocker:
        blocker.execute("LOCK TABLE event_outbox IN SHARE MODE")
        found = why(conn, row_id)
        assert found.state == "locked"
        assert f"pid {blocker.info.backend_pid} (builder) of role postgres holds ShareLock" in found.sentence
        blocker.execute("LOCK TABLE event_outbox IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OutboxError, match=rf"pid {blocker.info.backend_pid} .*AccessExclusiveLock"):
            why(conn, row_id)


@pytest.mark.usefixtures("idle_relay")
def test_who_keeps_the_turn_to_claim_is_named(
    conn: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = put(conn)
    with psycopg.connect(database, application_name="stuck") as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(lock_k1 + 1, lock_k2) FROM event_outbox_wake()")
        assert why(conn, row_id).state == "due"
        monkeypatch.setattr("outbox_notify.operations.why._LONGEST_TURN", 0.0)
        found = why(conn, row_id)
    assert found.state == "locked"
    assert "(stuck) of role postgres holds the turn to claim, its transaction open for 0 s" in found.sentence


@pytest.mark.usefixtures("idle_relay")
def test_writers_that_do_not_notify_leave_events_to_the_sweep(conn: psycopg.Connection) -> None:
    row_id = put(conn)
    conn.execute("ALTER TABLE event_outbox DISABLE TRIGGER event_outbox_wake_relay")
    found = why(conn, row_id)
    assert found.state == "wake_down"
    assert "trigger disabled" in found.sentence
    assert "next sweep in 5 s at most" in found.sentence


def test_event_that_does_not_exist_may_have_existed(conn: psycopg.Connection) -> None:
    assert why_missing(conn, 7) == "there is no event 7: the newest that is committed is 0"
    put(conn)
    gone = put(conn)
    put(conn)
    conn.execute("DELETE FROM event_outbox WHERE id = %s", [gone])
    assert why_missing(conn, gone).endswith("published and pruned, discarded, or never committed")
    assert "its id was made 20" in why_missing(conn, new_event_id())
    for unknown in (uuid4(), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")):
        assert why_missing(conn, unknown).endswith("never committed")


@ON_BOTH
@pytest.mark.parametrize("prepared", [False, True], ids=["open", "prepared"])
def test_event_of_an_open_transaction_says_whose_that_is(
    conn: psycopg.Connection, database: str, *, prepared: bool
) -> None:
    with psycopg.connect(database, application_name="service") as writer:
        row_id = put(writer)
        who = f"pid {writer.info.backend_pid} (service)"
        if prepared:
            writer.execute("PREPARE TRANSACTION 'forgotten'")
            who = "prepared transaction forgotten"
        said = why_missing(conn, row_id)
        if prepared:
            conn.execute("ROLLBACK PREPARED 'forgotten'")
    assert f"still open: {who} of role postgres has written to the outbox and not committed" in said


def test_role_that_may_read_the_outbox_alone_gets_the_same_answer(
    conn: psycopg.Connection, database: str
) -> None:
    row_id = put(conn)
    conn.execute("DROP ROLE IF EXISTS reader")
    conn.execute("CREATE ROLE reader")
    conn.execute("GRANT SELECT ON event_outbox TO reader")
    conn.execute("REVOKE EXECUTE ON FUNCTION pg_notification_queue_usage() FROM PUBLIC")
    try:
        with connected(database, "listen"), psycopg.connect(database, application_name="somebody") as blocker:
            blocker.execute("SELECT FROM event_outbox WHERE id = %s FOR UPDATE", [row_id])
            conn.execute("SET ROLE reader")
            found = why(conn, row_id)
            conn.execute("RESET ROLE")
            who = f"pid {blocker.info.backend_pid} (somebody)"
        assert found.state == "locked"
        assert who in found.sentence
    finally:
        conn.execute("GRANT EXECUTE ON FUNCTION pg_notification_queue_usage() TO PUBLIC")
        conn.execute("REVOKE ALL ON event_outbox FROM reader")
        conn.execute("DROP ROLE reader")


def test_database_without_outbox_says_what_to_do(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database, autocommit=True) as conn,
        pytest.raises(SchemaError, match="migrate"),
    ):
        gather(conn, "public", 1, ordered=True, block=False)


def test_insert_statement_is_found_while_it_runs(conn: psycopg.Connection, database: str) -> None:
    with psycopg.connect(database, application_name="service") as writer:
        writer.execute(INSERT.encode())
        assert "(service)" in why_missing(conn, new_event_id())
    assert "(service)" not in why_missing(conn, new_event_id())


@pytest.mark.usefixtures("idle_relay")
def test_paused_event_says_who_has_paused_it_and_holds_back_its_aggregate(conn: psycopg.Connection) -> None:
    first = put(conn, event_type="stock.counted", **ITEM)
    behind, other = put(conn, **ITEM), put(conn)
    pause(conn, "public", Target(event_type="stock.counted"), reason="audit of the year")
    found = why(conn, first)
    assert found.state == "paused"
    assert found.sentence.startswith("type stock.counted is paused by postgres since ")
    assert found.sentence.endswith(", until somebody resumes it: audit of the year")
    assert why(conn, behind).state == "behind"
    assert "type stock.counted is paused by postgres" in why(conn, behind).sentence
    assert why(conn, other).state == "due"
    pause(conn, "public", Target(tenant_id="acme"), lasting=3600)
    assert "tenant acme is paused by postgres since " in why(conn, other).sentence


@pytest.mark.usefixtures("idle_relay")
def test_outbox_from_before_pauses_is_explained_too(conn: psycopg.Connection) -> None:
    conn.execute("DROP TABLE event_outbox_pause")
    assert why(conn, put(conn)).state == "due"
    assert read_status(conn, "public").paused == ()
