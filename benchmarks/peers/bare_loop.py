"""Drives the bare loop of `make bench`, which does nothing but claim, publish and mark."""

from __future__ import annotations

import os
import sys

import psycopg

from benchmarks.peers.task import EVENT_TYPE, TENANT, Task, obey

# Its table comes with the stage.
_FILL = """
INSERT INTO bare_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
SELECT %s, %s, 'item', aggregate, body::jsonb FROM backlog ORDER BY n
"""


def _prepare(task: Task) -> None:
    with psycopg.connect(task.database_url, autocommit=True) as connection:
        connection.execute(_FILL, (TENANT, EVENT_TYPE))


def _drain(task: Task) -> None:
    servers = {"OUTBOX_DATABASE_URL": task.database_url, "OUTBOX_NATS_URL": task.nats_url}
    command = [sys.executable, "-m", "benchmarks.bare"]
    os.execve(sys.executable, command, {**os.environ, **servers})  # noqa: S606  # our own program, no shell


if __name__ == "__main__":
    obey(_prepare, _drain)
