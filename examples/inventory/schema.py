"""Bringing the database up to date: the service's tables, the inbox of its consumer, and the outbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg

from outbox_notify.inbox import create_table

_MIGRATIONS = sorted(Path(__file__).with_name("migrations").glob("*.sql"))
# Any number, as long as it is always the same.
_TURN = "SELECT pg_advisory_xact_lock(7301)"
_HISTORY = """
    CREATE SCHEMA IF NOT EXISTS inventory;
    CREATE TABLE IF NOT EXISTS inventory.migration (name text PRIMARY KEY)
"""


def migrate(database_url: str) -> None:
    """Apply what is missing; service and consumer both do so, and wait for each other.

    Raises:
        psycopg.Error: PostgreSQL does not answer, or refuses.
        subprocess.CalledProcessError: the outbox could not be made; what was wrong is on stderr.
    """
    with psycopg.connect(database_url, connect_timeout=5) as connection:
        # Whatever the default: who has waited for its turn must see what the one before has done.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.execute(_TURN)
        connection.execute(_HISTORY)
        applied = {name for (name,) in connection.execute("SELECT name FROM inventory.migration")}
        for path in _MIGRATIONS:
            if path.name not in applied:
                connection.execute(path.read_bytes())
                connection.execute("INSERT INTO inventory.migration VALUES (%s)", (path.name,))
        create_table(connection)
        [(outbox,)] = connection.execute("SELECT to_regclass('public.event_outbox')").fetchall()
    if outbox is None:
        # A deployment does that as a step of its own; here the service is to start on an empty database.
        command = [sys.executable, "-m", "outbox_notify", "--schema", "public", "migrate", "up"]
        subprocess.run(command, check=True)  # noqa: S603  # the command is ours
