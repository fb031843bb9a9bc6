"""A real disk that is full: a small file system under the table. Needs root, to mount it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from outbox_notify.embedded.account import unprivileged_account
from tests.support.figures import fenced, repeats
from tests.support.outbox import OutboxTable, fill
from tests.support.postgres import migrate
from tests.support.processes import wait_for
from tests.support.stream import spying, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter

pytestmark = pytest.mark.system

QUICK = {"OUTBOX_LEASE": "2s", "OUTBOX_PUBLISH_TIMEOUT": "1s", "OUTBOX_SWEEP_INTERVAL": "1s"}
BATCH, EVENTS = 100, 4000


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MB that belongs to the account of PostgreSQL."""
    with _mounted("size=24m") as folder:
        if account := unprivileged_account():
            os.chown(folder, account.uid, account.gid)
        yield folder


def test_full_disk_under_the_table_costs_time_only(
    private_postgres: EmbeddedPostgres,
    small_disk: Path,
    nats_server: EmbeddedNats,
    relay_process: Starter,
) -> None:
    url = _on_disk(private_postgres, small_disk)
    with psycopg.connect(url, autocommit=True) as conn, spying(nats_server.url) as spy:
        migrate(url)
        # Full pages: every claim and every mark needs room for new versions of its rows.
        conn.execute("ALTER TABLE event_outbox SET (fillfactor = 100, autovacuum_enabled = off)")
        fill(conn, EVENTS, size=500)
        relay = relay_process(OUTBOX_DATABASE_URL=url, OUTBOX_BATCH_SIZE=str(BATCH), **QUICK)
        wait_for(lambda: len(spy.heard) > BATCH, 20, "the first batches to pass")
        ballast = small_disk / "ballast"
        _fill_up(ballast)
        relay.wait_for(r"No space left on device", timeout=30)
        time.sleep(6)  # three leases
        before, out = OutboxTable(conn).count(), len(spy.heard)
        time.sleep(6)
        still_out = len(spy.heard)
        ballast.unlink()
        freed = time.monotonic()
        OutboxTable(conn).wait_until_settled(60)
        figures = {"recovered": time.monotonic() - freed, "repeats": repeats(spy), "fenced": fenced(relay)}
        sys.stderr.write(f"{figures}, while full {dict(before)}, {still_out - out} sent\n")
        assert before["pending"] > 0, "the disk was never full for the relay"
        # Nothing goes round and round: what cannot be marked is not published again and again.
        assert still_out - out <= 3 * BATCH
        assert not any(row.attempts for row in OutboxTable(conn).rows())
    assert stored(nats_server.url) == EVENTS
    assert relay.running


def _on_disk(server: EmbeddedPostgres, folder: Path) -> str:
    with psycopg.connect(server.url, autocommit=True) as conn:
        place = sql.Literal(str(folder))
        conn.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))
        conn.execute("CREATE DATABASE small TABLESPACE small")
    return server.database_url("small")


def _fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


@contextmanager
def _mounted(options: str) -> Iterator[Path]:

    # Not under pytest's own folders: those are closed to the account of PostgreSQL.
    folder = Path(mkdtemp(prefix="small-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
