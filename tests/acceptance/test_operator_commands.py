"""`outbox-notify migrate`, `status` and `failed` as their users run them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from outbox_notify.schema.migrate import LATEST
from tests.support.audit import acts
from tests.support.command import COMMAND, environment, run
from tests.support.events import put, put_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.command import Starter


@pytest.fixture
def on(database: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command on the test's database; what stands in `answer` is typed at its question."""

    def command(*arguments: str, answer: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=environment(OUTBOX_DATABASE_URL=database, **settings),
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return command


def statuses(conn: psycopg.Connection) -> list[str]:
    return [status for (status,) in conn.execute("SELECT status FROM event_outbox ORDER BY id")]


def read_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_migrate_without_subcommand_brings_the_database_up_to_date(empty_database: str) -> None:
    def migrate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run("migrate", *arguments, OUTBOX_DATABASE_URL=empty_database, OUTBOX_SCHEMA="warehouse")

    before = read_json(migrate("status", "--json"))
    assert before["schema_version"] is None
    assert {migration["state"] for migration in before["migrations"]} == {"pending"}
    assert migrate("verify").returncode == 1

    done = migrate()
    assert (done.returncode, done.stdout.splitlines()[-1].split(";")[0]) == (
        0,
        f"schema warehouse is up to date at version {LATEST}",
    )
    after = read_json(migrate("status", "--json"))
    assert after["schema_version"] == after["latest_version"] == LATEST
    assert {migration["state"] for migration in after["migrations"]} == {"applied"}
    assert migrate("verify").returncode == 0
    assert migrate("up").returncode == 0


def test_two_migrates_at_once_both_end_well(empty_database: str) -> None:
    def migrate(_: int) -> int:
        return run("migrate", OUTBOX_DATABASE_URL=empty_database).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(migrate, range(2))) == [0, 0]
    with psycopg.connect(empty_database) as conn:
        rows = conn.execute("SELECT version FROM event_outbox_migration ORDER BY version").fetchall()
    assert rows == [(version,) for version in range(1, LATEST + 1)]


def test_sql_needs_no_database_and_status_knows_what_it_made(empty_database: str) -> None:
    script = run("migrate", "sql")
    assert (script.returncode, script.stderr) == (0, "")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(script.stdout.encode())
    done = run("migrate", "status", OUTBOX_DATABASE_URL=empty_database)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "schema public is up to date")


def test_edited_and_newer_histories_are_refused_with_exit_code_78(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    conn.execute(
        "INSERT INTO event_outbox_migration (version, name, checksum) VALUES (9999, '9999_x.sql', '')"
    )
    for arguments in (["migrate"], ["migrate", "status"], ["migrate", "verify"]):
        newer = on(*arguments)
        assert (newer.returncode, newer.stderr.count("\n")) == (78, 1)
        assert "upgrade the package" in newer.stderr

    conn.execute("DELETE FROM event_outbox_migration WHERE version = 9999")
    conn.execute("UPDATE event_outbox_migration SET checksum = 'other'")
    edited = on("migrate")
    assert (edited.returncode, edited.stderr.count("\n")) == (78, 1)
    assert "0001_event_outbox.sql was edited" in edited.stderr


def test_verify_names_what_is_not_as_it_should_be(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    conn.execute("ALTER TABLE event_outbox DISABLE TRIGGER event_outbox_wake_relay")
    conn.execute("CREATE INDEX by_tenant ON event_outbox (tenant_id)")
    done = on("migrate", "verify")
    assert (done.returncode, done.stdout) == (
        1,
        "trigger event_outbox_wake_relay of event_outbox is disabled\n",
    )
    assert "note: index by_tenant of event_outbox is not from a migration" in done.stderr
    found = json.loads(on("migrate", "verify", "--json").stdout)
    assert not found["good"]
    assert [(item["name"], item["problem"]) for item in found["differences"]] == [
        ("event_outbox_wake_relay", "is disabled")
    ]


def test_status_counts_the_backlog(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    put(conn)
    put(conn, available_at="infinity")
    put_failed(conn)
    document = read_json(on("status", "--json"))
    assert document["backlog"] == {"pending": 1, "scheduled": 1, "in_progress": 0, "failed": 1}
    assert document["oldest_pending_age_seconds"] > 0
    assert document["schema_version"] == LATEST
    text = on("status")
    assert text.returncode == 0
    assert "see outbox-notify failed list" in text.stdout


def test_status_says_why_events_came_back(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    put(conn, last_error="maximum bytes\nexceeded \x1b[31m(10077)")
    put(conn, event_type="stock.counted", last_error="requeued")
    requeued, returned = read_json(on("status", "--json"))["returned"]
    assert (returned["rests"], requeued["rests"]) == (True, False)
    assert (returned["route"], returned["events"]) == ("acme.stock.moved", 1)
    assert returned["reason"] == "maximum bytes\nexceeded \x1b[31m(10077)"
    assert returned["oldest_age_seconds"] >= 0
    lines = on("status").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("route rests")]
    assert any(line.startswith("came back") and "acme.stock.counted: requeued" in line for line in lines)
    assert "acme.stock.moved: maximum bytes\\nexceeded" in line
    assert "\x1b" not in line


def test_watch_prints_a_line_each_time_and_ends_well_on_ctrl_c(
    command_process: Starter, database: str
) -> None:
    watching = command_process("status", "--watch", "0.1", OUTBOX_DATABASE_URL=database)
    watching.wait_for(r"(pending 0 .*\n.*){3}")
    watching.send(signal.SIGINT)
    assert watching.wait() == 0
    assert "Traceback" not in watching.text


def test_failed_list_and_show(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    first, second = put_failed(conn), put_failed(conn, tenant_id="globex", last_error="no\x1b[31m good")
    assert [event["id"] for event in read_json(on("failed", "list", "--json"))] == [second, first]
    assert [event["id"] for event in read_json(on("failed", "list", "--tenant", "acme", "--json"))] == [first]
    text = on("failed", "list")
    assert "globex" in text.stdout
    assert "\x1b" not in text.stdout

    [event] = read_json(on("failed", "list", "--limit", "1", "--json"))
    shown = read_json(on("failed", "show", event["event_id"], "--json"))
    assert shown == event
    assert read_json(on("failed", "show", str(first), "--payload", "--json"))["payload"] == {"n": 1}
    assert "\x1b" not in on("failed", "show", str(second)).stdout


def test_unknown_event_is_one_line_and_exit_code_1(
    on: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for verb in ("show", "requeue", "discard"):
        done = on("failed", verb, "77")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "outbox-notify: there is no event 77\n"


def test_dry_run_changes_nothing(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    put_failed(conn)
    for verb in ("requeue", "discard"):
        done = on("failed", verb, "--all", "--dry-run")
        assert (done.returncode, done.stdout) == (0, f"would {verb} 1 event\n")
    assert statuses(conn) == ["failed"]


def test_discard_asks_first(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    put_failed(conn)
    for answer in ("", "n\n"):
        assert on("failed", "discard", "--all", answer=answer).returncode == 1
        assert statuses(conn) == ["failed"]
    assert on("failed", "discard", "--all", answer="y\n").stdout == "discarded 1 event\n"
    assert statuses(conn) == []
    put_failed(conn)
    assert on("failed", "discard", "--all", "--yes").stdout == "discarded 1 event\n"


def test_prune_asks_first_and_goes_by_the_retention_setting(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for age in ("2 hours", "3 days"):
        row_id = put(conn, status="published")
        conn.execute(
            "UPDATE event_outbox SET published_at = now() - %s::interval WHERE id = %s", [age, row_id]
        )
    assert on("prune", "--dry-run").stdout == "would delete 1 event\n"
    assert on("prune", "--dry-run", OUTBOX_RETENTION="1h").stdout == "would delete 2 events\n"
    assert on("prune", answer="n\n").returncode == 1
    assert on("prune", "--older-than", "7d", "--yes").stderr.startswith("no event was published longer than")
    assert statuses(conn) == ["published"] * 2
    assert on("prune", "--older-than", "1h", "--yes").stdout == "deleted 2 events\n"
    assert statuses(conn) == []
    assert [(act["act"], act["events"]) for act in acts(conn)] == [("prune", 2)]


def test_without_events_named_nothing_is_touched(
    conn: psycopg.Connection, on: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    row_id = put_failed(conn)
    for arguments in ([], ["--limit", "5"], [str(row_id), "--all"], [str(row_id), "--tenant", "acme"]):
        for verb in ("requeue", "discard"):
            assert on("failed", verb, "--yes", *arguments).returncode == 2
    assert statuses(conn) == ["failed"]


def test_requeued_event_reaches_the_stream_without_waiting_for_a_sweep(
    conn: psycopg.Connection,
    on: Callable[..., subprocess.CompletedProcess[str]],
    relay_process: Starter,
) -> None:
    failed = put_failed(conn)
    relay = relay_process(OUTBOX_SWEEP_INTERVAL="60s")
    put(conn)
    wait_until_published(conn, 1)
    assert on("failed", "requeue", str(failed)).stdout == "requeued 1 event\n"
    wait_until_published(conn, 2)
    assert statuses(conn) == ["published", "published"]
    assert relay.stop() == 0


def wait_until_published(conn: psycopg.Connection, count: int) -> None:
    """Return once so many events are published; fail after 20 s, a third of a sweep."""
    deadline = time.monotonic() + 20
    while statuses(conn).count("published") < count:
        assert time.monotonic() < deadline, statuses(conn)
        time.sleep(0.02)
