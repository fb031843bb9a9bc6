"""The disk of JetStream is full, for real: a file system of its own, of memory."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedNats
from tests.support.checker import out_of_order
from tests.support.outbox import OutboxTable, fill
from tests.support.stream import read_stream, wait_for_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.command import Starter

pytestmark = pytest.mark.system

EVENTS, SIZE = 200, 100_000
QUICK = {"OUTBOX_LEASE": "5s", "OUTBOX_PUBLISH_TIMEOUT": "2s", "OUTBOX_SWEEP_INTERVAL": "1s"}


@contextmanager
def file_system(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of its own at a folder."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def test_t42_a_disk_without_room_uses_nothing_up_and_all_comes_once_there_is_some(
    database: str, command_process: Starter, account: Callable[..., None]
) -> None:
    # More than the disk has, so that it is the disk that refuses, and not JetStream by its own account.
    server = EmbeddedNats(config="jetstream { max_file_store: 1GB }")
    try:
        with file_system(server.data_dir, "12m"), psycopg.connect(database, autocommit=True) as conn:
            server.start()
            settings = {
                "OUTBOX_DATABASE_URL": database,
                "OUTBOX_NATS_URL": server.url,
                "OUTBOX_MAX_ATTEMPTS": "2",
            }
            relay = command_process("relay", OUTBOX_HTTP="off", **settings, **QUICK)
            fill(conn, EVENTS, size=SIZE)
            wait_for_stored(server.url, 50)
            relay.wait_for_record("outage.started", timeout=60)
            table = OutboxTable(conn)
            assert "no space left on device" in server.log_path.read_text(encoding="utf-8")
            assert 0 < table.count()["published"] < EVENTS
            mount("-o", "remount,size=200m", str(server.data_dir))
            # nats-server takes no message for a stream whose disk was full until it is started again.
            server.stop()
            server.start()
            began = time.monotonic()
            table.wait_until_settled(60)
            recovered = time.monotonic() - began
            rows, stream = table.rows(), read_stream(server.url)
            server.stop()
    finally:
        server.close()
    assert {row.status for row in rows} == {"published"}
    assert not any(row.attempts for row in rows)
    copies = [message.event_id for message in stream]
    assert {row.event_id for row in rows} == set(copies)
    assert out_of_order(rows, stream) == []
    account(
        lost=0,
        phantom=0,
        duplicates=len(copies) - EVENTS,
        out_of_order=0,
        failed=0,
        recover_s=round(recovered, 1),
    )
