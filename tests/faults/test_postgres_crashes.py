"""A process of PostgreSQL dies, and the server starts over without being started again: late commits may be undone."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest

from outbox_notify.errors import OutboxError
from outbox_notify.postgres.queries import query
from tests.support.claiming import claiming
from tests.support.postgres import ON_BOTH

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedPostgres

pytestmark = [pytest.mark.fault, pytest.mark.anyio]


@ON_BOTH
async def test_server_that_has_recovered_from_a_crash_is_another_one(
    private_postgres: EmbeddedPostgres,
) -> None:
    url = private_postgres.url
    async with claiming(url) as desk:
        before = (await desk.claim()).server
        assert before == (await desk.claim()).server == asked_by_the_listener(url)
        os.kill(desk.conn.info.backend_pid, signal.SIGKILL)
        after = before
        with anyio.fail_after(20):
            # The postmaster takes a moment to see that one of its children was killed.
            while after == before:
                try:
                    after = (await desk.claim()).server
                except OutboxError:
                    await anyio.sleep(0.1)
    assert after == asked_by_the_listener(url)


def asked_by_the_listener(url: str) -> str:
    with psycopg.connect(url) as conn:
        row = conn.execute(query("wake_check", "public")).fetchone()
    assert row is not None
    return str(row[2])
