"""Drives nats-outbox (natsbox): https://github.com/ademboukabes/natsbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import asyncpg
from nats_outbox.core.models import create_tables
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.peers.task import SUBJECT, Task, obey

_FILL = """
INSERT INTO outbox_events (event_id, subject, headers, payload, status, retry_count, aggregate_type, aggregate_id)
SELECT id, $1::text, jsonb_build_object('Nats-Msg-Id', id), body::jsonb, 'pending', 0, 'item', aggregate
FROM (SELECT gen_random_uuid() AS id, n, aggregate, body FROM backlog) AS events ORDER BY n
"""


def _sqlalchemy_url(task: Task) -> str:
    return task.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)


async def _prepare(task: Task) -> None:
    engine = create_async_engine(_sqlalchemy_url(task))
    await create_tables(engine)
    await engine.dispose()
    connection = await asyncpg.connect(task.database_url)
    await connection.execute(_FILL, SUBJECT)
    await connection.close()


def _drain(task: Task) -> None:
    """Become the relay's own command, alone.

    docs/guides/deploying-the-relay.md: `nats-outbox relay start`, and one replica where order matters.
    It logs a line for each event unless told not to, which its users would not pay for.
    """
    settings = {f"OUTBOX_{name.upper()}": str(value) for name, value in task.settings.items()}
    servers = {"OUTBOX_DATABASE_URL": _sqlalchemy_url(task), "OUTBOX_NATS_URL": task.nats_url}
    command = shutil.which("nats-outbox", path=Path(sys.executable).parent) or "nats-outbox"
    arguments = [command, "relay", "start", "--log-level", "WARNING"]
    os.execve(command, arguments, {**os.environ, **servers, **settings})  # noqa: S606  # its command, no shell


if __name__ == "__main__":
    obey(lambda task: asyncio.run(_prepare(task)), _drain)
