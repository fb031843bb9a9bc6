"""`outbox-notify inbox` as its users run it, on a database that has no outbox."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.support.command import run


def test_the_printed_sql_makes_an_inbox_that_is_pruned_by_age(empty_database: str) -> None:
    printed = run("--schema", "service", "inbox", "sql")
    assert (printed.returncode, printed.stderr) == (0, "")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA service")
        connection.execute(printed.stdout.encode())
        connection.execute("""
            INSERT INTO service.event_inbox (consumer, event_id, received_at)
            SELECT 'stock', gen_random_uuid(), now() - n * interval '1 day' FROM generate_series(1, 5) AS n
        """)
    settings: dict[str, Any] = {"OUTBOX_DATABASE_URL": empty_database, "OUTBOX_SCHEMA": "service"}
    prune = ("inbox", "prune", "--older-than", "60h")
    assert run(*prune, "--dry-run", **settings).stdout == "would forget 3 events\n"
    assert run(*prune, "--yes", **settings).stdout == "forgot 3 events\n"
    again = run(*prune, "--yes", **settings)
    assert (again.returncode, again.stdout, "no event" in again.stderr) == (0, "", True)


def test_a_database_without_an_inbox_is_told_apart_from_one_that_was_not_migrated(database: str) -> None:
    done = run("inbox", "prune", "--older-than", "1d", "--yes", OUTBOX_DATABASE_URL=database)
    assert done.returncode == 78
    assert "no table public.event_inbox" in done.stderr
    assert "outbox-notify migrate" not in done.stderr
