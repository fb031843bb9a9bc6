"""Drives our own relay: the command, with its default settings."""

from __future__ import annotations

import os
import sys

import psycopg

from benchmarks.peers.task import EVENT_TYPE, TENANT, Task, obey

# Its table comes with the stage.
_FILL = """
INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
SELECT %s, %s, 'item', aggregate, body::jsonb FROM backlog ORDER BY n
"""


def _prepare(task: Task) -> None:
    with psycopg.connect(task.database_url, autocommit=True) as connection:
        connection.execute(_FILL, (TENANT, EVENT_TYPE))


def _drain(task: Task) -> None:
    """Become the relay; nothing is set but where the servers are, and no HTTP, which no peer serves either."""
    servers = {
        "OUTBOX_DATABASE_URL": task.database_url,
        "OUTBOX_NATS_URL": task.nats_url,
        "OUTBOX_HTTP": "off",
    }
    command = [sys.executable, "-m", "outbox_notify", "relay"]
    os.execve(sys.executable, command, {**os.environ, **servers})  # noqa: S606  # our own program, no shell


if __name__ == "__main__":
    obey(_prepare, _drain)
