"""Events that are committed between two steps of the relay: while it begins to listen, works, or falls asleep."""

from __future__ import annotations

import re
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import wait_for
from tests.support.wake import LISTEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    from outbox_notify.embedded import EmbeddedPostgres
    from tests.support.ages import Ages
    from tests.support.command import CommandProcess, Starter
    from tests.support.wake import WakeView

pytestmark = pytest.mark.fault

NO_SWEEP = {"OUTBOX_SWEEP_INTERVAL": "10m"}
LATEST = 0.2 + 0.2
# Two heartbeats.
WINDOW = 4.0
# The end of a transaction, and the settings at its beginning.
WITHIN = {"COMMIT", "SELECT"}
_LISTENING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name LIKE %s AND (query LIKE 'LISTEN%%' OR query LIKE '%%pg_listening_channels%%')
"""


def test_t02_what_is_committed_while_the_relay_begins_to_listen_is_found(
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
) -> None:
    relay = relay_process(**NO_SWEEP)
    wait_for(lambda: bool(wake.backends(LISTEN)), 10, "the relay to connect")
    began_to_listen = 0
    until = time.monotonic() + 10
    while not wake.holders():
        assert time.monotonic() < until, "the relay does not fall asleep"
        ages.insert(conn)
        row = conn.execute(_LISTENING, [LISTEN]).fetchone()
        began_to_listen += bool(row and row[0])
    assert began_to_listen, "no event was committed between LISTEN and sleep"
    assert max(ages.all()) < LATEST + _start_up(relay)


@pytest.mark.parametrize("relays", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_t02_no_event_falls_between_two_looks(
    relays: int,
    conn: psycopg.Connection,
    wake: WakeView,
    ages: Ages,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    for _ in range(relays):
        relay_process(**NO_SWEEP).wait_for("wake.ready")
    wake.wait_until_armed()
    choices = Random(2)  # noqa: S311  # choices, not secrets
    armed = unarmed = 0
    for _ in range(150):
        armed, unarmed = (armed + 1, unarmed) if wake.holders() else (armed, unarmed + 1)
        # Light traffic and heavier, each lot as soon as the one before has passed, or a little later.
        ages.of(ages.insert(conn, events=choices.choice([1, 1, 1, 5, 20, 40])))
        time.sleep(choices.choice([0, 0, 0.001, 0.005, 0.02]))
    measured(latest=max(ages.all()), armed=armed, unarmed=unarmed)
    assert armed, "the relay never slept"
    assert unarmed, "the relay never let go of the lock"
    assert max(ages.all()) < LATEST


def test_an_idle_relay_asks_little(
    private_postgres: EmbeddedPostgres,
    relay_process: Starter,
    measured: Callable[..., None],
) -> None:
    relay = relay_process(OUTBOX_DATABASE_URL=f"{private_postgres.url}?options=-c%20log_statement%3Dall")
    relay.wait_for("wake.ready")
    time.sleep(1)
    began = private_postgres.log_path.stat().st_size
    time.sleep(WINDOW)
    statements = _statements(private_postgres.log_path, began)
    transactions = [text for text in statements if text not in WITHIN and not text.startswith("BEGIN")]
    measured(statements=len(statements) / WINDOW, transactions=len(transactions) / WINDOW)
    assert transactions, "nothing was logged"
    assert len(transactions) / WINDOW <= 2


def _start_up(relay: CommandProcess) -> float:
    """Return how many seconds passed until the relay listened, from when it was ready to publish."""
    found = re.findall(r'"timestamp": "[^"]*:(\d\d\.\d+)Z".*?"(?:relay|wake)\.ready"', relay.text)
    first, last = (float(seconds) for seconds in found)
    return (last - first) % 60


def _statements(log: Path, offset: int) -> list[str]:
    with log.open(encoding="utf-8") as lines:
        lines.seek(offset)
        return re.findall(r"LOG:  (?:statement|execute [^:]*): (.*)", lines.read())
