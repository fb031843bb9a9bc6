"""What the trigger costs those who write: next to nothing while no relay sleeps."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify.embedded import EmbeddedPostgres
from tests.support.postgres import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.fault

ROUNDS = 3
SECONDS = 4
# What is promised is 0.9, on a machine that has nothing else to do.
LEAST = 0.9 - 0.1

WRITE = """
INSERT INTO event_outbox (tenant_id, event_type, aggregate_type, aggregate_id, payload)
VALUES ('acme', 'stock.moved', 'article', 'article-' || (random() * 1000)::int, '{"n": 1}');
"""
TRIGGERS = {
    "none": "ALTER TABLE event_outbox DISABLE TRIGGER USER",
    "armed": "ALTER TABLE event_outbox ENABLE TRIGGER USER",
    "plain": """
        ALTER TABLE event_outbox DISABLE TRIGGER USER;
        CREATE TRIGGER plain AFTER INSERT ON event_outbox
            FOR EACH STATEMENT EXECUTE FUNCTION event_outbox_notify()
    """,
}


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that flushes: what NOTIFY costs is the flush that commits cannot share."""
    with EmbeddedPostgres(18) as server:
        migrate(server.url)
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("writers", [32, 64])
def test_t08_trigger_costs_writers_a_tenth_at_most_while_relays_are_awake(
    writers: int, durable_postgres: EmbeddedPostgres, tmp_path: Path, measured: Callable[..., None]
) -> None:
    script = tmp_path / "write.sql"
    script.write_text(WRITE)
    # Side by side, round by round: what else the machine does hits all kinds alike.
    rounds = [
        {kind: _commits_per_second(durable_postgres, kind, writers, script) for kind in TRIGGERS}
        for _ in range(ROUNDS)
    ]
    armed, plain = (median(rates[kind] / rates["none"] for rates in rounds) for kind in ("armed", "plain"))
    measured(writers=writers, armed=round(armed, 2), plain=round(plain, 2), commits_per_second=rounds)
    assert armed > LEAST
    assert plain < armed, "a plain NOTIFY costs no more here: this machine cannot show the difference"


def _commits_per_second(server: EmbeddedPostgres, kind: str, writers: int, script: Path) -> float:
    command = [
        "pgbench",
        "--no-vacuum",
        f"--client={writers}",
        "--jobs=2",
        f"--time={SECONDS}",
        "--protocol=prepared",
    ]
    with _trigger(server.url, kind):
        done = subprocess.run(
            [*command, f"--file={script}", server.url],
            executable=server.psql_path.with_name("pgbench"),
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return float(found[1])


@contextmanager
def _trigger(url: str, kind: str) -> Iterator[None]:
    """Begin with an empty table and this kind of trigger; leave it as it was."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("TRUNCATE event_outbox")
        conn.execute("CHECKPOINT")
        conn.execute(TRIGGERS[kind])
        yield
        conn.execute("DROP TRIGGER IF EXISTS plain ON event_outbox")
        conn.execute(TRIGGERS["armed"])
