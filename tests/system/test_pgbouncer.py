"""A real pgbouncer in transaction mode before PostgreSQL: every transaction of a relay may meet another backend."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from outbox_notify.embedded.account import unprivileged_account
from outbox_notify.embedded.server import free_port
from tests.support.checker import check
from tests.support.command import QUICK
from tests.support.doctor import examined, troubles
from tests.support.outbox import outbox_table
from tests.support.processes import wait_for
from tests.support.stream import read_stream, wait_for_stored
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
    from tests.support.command import Starter

pytestmark = pytest.mark.system

RELAYS = 2
# Fewer backends than connections of the relays, so that they take turns with each.
CONFIG = """
[databases]
* = host=127.0.0.1 port={server.port} user={url.username} password={url.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def pooled_database(database: str, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of the test's database by way of pgbouncer."""
    with _pgbouncer(database, postgres_server) as port:
        yield database.replace(f":{postgres_server.port}/", f":{port}/")


@pytest.mark.parametrize(
    "how", ["not told of it", "told where to listen", "polling"], ids=lambda how: how.replace(" ", "_")
)
def test_t05_relays_work_through_a_pooler(
    database: str,
    pooled_database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
    account: Callable[..., None],
    how: str,
) -> None:
    settings = {
        "not told of it": {},
        "told where to listen": {"OUTBOX_LISTEN_DATABASE_URL": database},
        "polling": {"OUTBOX_WAKE": "poll"},
    }[how]
    relays = [relay_process(OUTBOX_DATABASE_URL=pooled_database, **QUICK, **settings) for _ in range(RELAYS)]
    for relay in relays:
        if how == "not told of it":
            relay.wait_for("is a pooler in between")
        elif how == "told where to listen":
            relay.wait_for_record("wake.ready")
    with Writers(database, pause=0.01) as writers:
        wait_for_stored(nats_server.url, 3000, timeout=60)
    with outbox_table(database) as table:
        table.wait_until_settled(60)
        verdict = check(writers.ledger, table.rows(), read_stream(nats_server.url))
    account(verdict)
    assert verdict.problems == {}
    assert not any("prepared statement" in relay.text for relay in relays)
    assert all(relay.stop() == 0 for relay in relays)


def test_t05_claims_leave_no_setting_behind_in_the_pool(
    database: str,
    pooled_database: str,
    nats_server: EmbeddedNats,
    relay_process: Starter,
) -> None:
    relay_process(OUTBOX_DATABASE_URL=pooled_database, OUTBOX_LISTEN_DATABASE_URL=database, **QUICK)
    with Writers(database, pause=0.01):
        wait_for_stored(nats_server.url, 500)
    with psycopg.connect(pooled_database, autocommit=True, prepare_threshold=None) as conn:
        for _ in range(20):
            changed = conn.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
            known = {("application_name",), ("client_encoding",), ("DateStyle",), ("TimeZone",)}
            assert set(changed) <= known | {("standard_conforming_strings",)}


def test_doctor_tells_who_listens_through_the_pooler(database: str, pooled_database: str) -> None:
    said = examined(pooled_database)
    assert said["wake"].holds("fail", "is a pooler in between?", "OUTBOX_LISTEN_DATABASE_URL"), said
    said = examined(pooled_database, listen_database_url=database)
    assert said["wake.pooler"].text == "a pooler in transaction mode; the wake goes around it"
    assert {said[check].level for check in said if check.startswith("wake.")} == {"ok"}
    said = examined(pooled_database, wake="poll")
    assert said["wake.pooler"].text == "a pooler in transaction mode; no relay listens"
    assert "wake.listen" not in troubles(said)


@contextmanager
def _pgbouncer(url: str, server: EmbeddedPostgres) -> Iterator[int]:
    """Run pgbouncer, which refuses to be root, and yield its port."""
    program = shutil.which("pgbouncer")
    assert program, "install pgbouncer"
    # Not under pytest's own folders: those are closed to the account that it runs as.
    folder, port = Path(mkdtemp(prefix="pgbouncer-")), free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(server=server, url=urlsplit(url), port=port), encoding="utf-8")
    account = unprivileged_account()
    if account:
        for path in (folder, config):
            shutil.chown(path, account.uid, account.gid)
    with (folder / "log").open("wb") as log:
        extra = account.popen_arguments() if account else {}
        process = subprocess.Popen([program, str(config)], stdout=log, stderr=log, cwd=folder, **extra)
    try:
        wait_for(lambda: _answers(url.replace(f":{server.port}/", f":{port}/")), 10, "pgbouncer to answer")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
