"""pgbench as a stranger among the writers: many clients that insert and call, and a relay beside them."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING

import psycopg

from outbox_notify.embedded.binaries import postgres_installation
from tests.support.stream import read_stream, wait_for_stored

if TYPE_CHECKING:
    from pathlib import Path

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

CLIENTS, TRANSACTIONS, ARTICLES = 8, 50, 5

TABLE = """
    CREATE TABLE stock AS SELECT id, 0 AS moves FROM generate_series(1, 5) AS id;
"""
# Two events of one article a transaction, one in each way; its row is locked first, as a service does.
SCRIPT = """
\\set article random(1, 5)
BEGIN;
UPDATE stock SET moves = moves + 2 WHERE id = :article;
INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
    SELECT 'acme', 'stock.moved', 'article', id, to_jsonb(moves - 1) FROM stock WHERE id = :article;
SELECT outbox_emit('acme', 'stock.moved', to_jsonb(moves), 'article', id::text) FROM stock WHERE id = :article;
COMMIT;
"""


def test_events_of_pgbench_arrive_once_and_in_order(
    database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    tmp_path: Path,
) -> None:
    script = tmp_path / "move.sql"
    script.write_text(SCRIPT)
    with psycopg.connect(database) as conn:
        conn.execute(TABLE)
    relay_process()
    subprocess.run(
        [
            postgres_installation(18) / "bin" / "pgbench",
            "--no-vacuum",
            f"--client={CLIENTS}",
            f"--transactions={TRANSACTIONS}",
            f"--file={script}",
            database,
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    wait_for_stored(nats_server.url, CLIENTS * TRANSACTIONS * 2)

    moves = defaultdict[str, list[int]](list)
    for message in read_stream(nats_server.url):
        moves[message.headers["ce-subject"]].append(message.json)
    assert sum(map(len, moves.values())) == CLIENTS * TRANSACTIONS * 2
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in moves.values())
    assert len(moves) == ARTICLES
