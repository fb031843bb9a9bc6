"""Secrets and payloads stay where they belong, whatever goes wrong: every word that comes out is searched."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from outbox_notify.embedded import EmbeddedNats
from tests.support.canaries import CANARY, canary, children_as_shown, encoded, found_in, shown_by_kernel
from tests.support.command import run
from tests.support.events import put, put_failed
from tests.support.outbox import outbox_table
from tests.support.processes import descendants_of
from tests.support.stream import create_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Starter


DATABASE_PASSWORD, NATS_PASSWORD = canary("database"), canary("nats")
EVENT = {
    "payload": json.dumps({"iban": canary("payload")}),
    "headers": json.dumps({"x-key": canary("header")}),
}
# Whose seed nobody has: a server that knows a key asks for signatures.
NKEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
ABOUT = ("database", "nats", "payload", "header")
QUICK = {"OUTBOX_SWEEP_INTERVAL": "200ms", "OUTBOX_LEASE": "3s", "OUTBOX_PUBLISH_TIMEOUT": "1500ms"}


@pytest.fixture
def guarded_nats() -> Iterator[EmbeddedNats]:
    """A server that lets in the user `relay` with a secret password, and the test with another."""
    users = f"{{user: relay, password: '{NATS_PASSWORD}'}}, {{user: test, password: test}}, {{nkey: {NKEY}}}"
    with EmbeddedNats(f"authorization {{ users: [{users}] }}") as server:
        yield server


@pytest.fixture
def secret_database(database: str) -> Iterator[str]:
    """URL of the test's database for a user with a secret password."""
    with psycopg.connect(database, autocommit=True) as conn:
        create = sql.SQL("CREATE ROLE canary SUPERUSER LOGIN PASSWORD {}")
        conn.execute(create.format(sql.Literal(DATABASE_PASSWORD)))
        address = urlsplit(database)
        login = f"canary:{encoded(DATABASE_PASSWORD)}@{address.hostname}:{address.port}"
        yield address._replace(netloc=login).geturl()
        conn.execute("DROP ROLE canary")


def login(server: EmbeddedNats, user_and_password: str) -> str:
    return server.url.replace("nats://", f"nats://{user_and_password}@")


@pytest.mark.parametrize("log_format", ["json", pytest.param("text", marks=pytest.mark.slow)])
def test_t56_a_relay_in_trouble_writes_no_secret_and_no_payload(
    secret_database: str,
    guarded_nats: EmbeddedNats,
    command_process: Starter,
    tmp_path: Path,
    log_format: str,
) -> None:
    files = {
        "database_url": secret_database,
        "nats_url": login(guarded_nats, f"relay:{encoded(NATS_PASSWORD)}"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = {f"OUTBOX_{name.upper()}_FILE": str(tmp_path / name) for name in files}
    create_stream(login(guarded_nats, "test:test"), "events.>", max_msg_size=2000)
    relay = command_process(
        "-v", "relay", **settings, **QUICK, OUTBOX_HTTP="off", OUTBOX_LOG_FORMAT=log_format
    )
    with outbox_table(secret_database) as table:
        _fail_events(table.conn)
        relay.wait_for("event.failed")
        with _rows_that_cannot_be_claimed(table.conn):
            relay.wait_for("claim.postponed.*trouble")
        table.wait_until_settled()
        guarded_nats.kill()
        relay.wait_for("outage.started")
        guarded_nats.start()
        relay.wait_for("outage.ended")
        table.conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'outbox-notify%'"
        )
        relay.wait_for("wake.lost")
        put(table.conn, **EVENT)
        table.wait_until_settled()
        assert table.count() == {"failed": 1, "published": 4}
    assert descendants_of(relay.pid) == set()
    assert found_in(shown_by_kernel([relay.pid])) == []
    assert relay.stop() == 0
    assert found_in(relay.text) == []


def _fail_events(conn: psycopg.Connection) -> None:
    """Insert an event that goes out, one that the stream refuses, and one that goes out after it."""
    put(conn, **EVENT)
    put(conn, **EVENT, aggregate_type="person", aggregate_id="7é")
    put(conn, **{**EVENT, "payload": json.dumps([canary("large") * 100])})


@contextmanager
def _rows_that_cannot_be_claimed(conn: psycopg.Connection) -> Iterator[None]:
    """Let PostgreSQL refuse every claim, with the whole row in the detail of its error."""
    conn.execute("ALTER TABLE event_outbox ADD CONSTRAINT trouble CHECK (claims = 0) NOT VALID")
    put(conn, **EVENT)
    with pytest.raises(psycopg.errors.CheckViolation, match=CANARY):
        conn.execute("UPDATE event_outbox SET claims = 1")
    yield
    conn.execute("ALTER TABLE event_outbox DROP CONSTRAINT trouble")


@pytest.mark.parametrize("arguments", [
    ["status"], ["status", "--json"], ["config", "show"], ["config", "show", "--json"], ["migrate", "status"],
    ["migrate", "verify"], ["migrate", "sql"], ["failed", "list"], ["failed", "requeue", "--all", "--dry-run"],
    ["why", "1"], ["why", "1", "--json"],
], ids=" ".join)  # fmt: skip
def test_t56_reading_verbs_show_no_secret_and_no_payload(secret_database: str, arguments: list[str]) -> None:
    with psycopg.connect(secret_database, autocommit=True) as conn:
        put_failed(conn, **EVENT)
    nats_url = (
        f"nats://relay:{encoded(NATS_PASSWORD)}@127.0.0.1:1, nats://{encoded(canary('token'))}@127.0.0.1:2"
    )
    done = run("-v", *arguments, OUTBOX_DATABASE_URL=secret_database, OUTBOX_NATS_URL=nats_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert found_in(done.stdout) == []


def test_t56_verbs_that_show_an_event_show_its_headers_and_its_body_only_when_asked(
    secret_database: str,
) -> None:
    with psycopg.connect(secret_database, autocommit=True) as conn:
        name = str(put_failed(conn, **EVENT))
    shown = {}
    for arguments in (["list", "--json"], ["show", name], ["show", name, "--payload"]):
        done = run("failed", *arguments, OUTBOX_DATABASE_URL=secret_database)
        assert (done.returncode, done.stderr) == (0, "")
        shown[" ".join(arguments[::2])] = [about for about in ABOUT if canary(about) in done.stdout]
    assert list(shown.values()) == [["header"], ["header"], ["payload", "header"]]


def test_t56_an_event_that_is_refused_is_not_repeated(secret_database: str) -> None:
    with psycopg.connect(secret_database, autocommit=True) as conn:
        conn.execute("ALTER TABLE event_outbox ADD CONSTRAINT trouble CHECK (tenant_id <> 'acme')")
    for event_type in ("stock.moved", "stock moved"):
        arguments = ("emit", "acme", event_type, "--payload", str(EVENT["payload"]))
        done = run("-v", *arguments, OUTBOX_DATABASE_URL=secret_database)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert found_in(done.stderr) == []


def test_t56_refused_and_malformed_logins_are_not_repeated(
    secret_database: str, guarded_nats: EmbeddedNats, command_process: Starter, tmp_path: Path
) -> None:
    right = {"OUTBOX_DATABASE_URL": secret_database, "OUTBOX_NATS_URL": guarded_nats.url}
    drains = {"OUTBOX_HTTP": "off", "OUTBOX_SHUTDOWN_TIMEOUT": "500ms"}
    relays = [
        (command_process("-v", "relay", "--drain", **{**right, **drains, **wrong}), reason)
        for wrong, reason in _wrong_logins(right, tmp_path)
    ]
    for relay, reason in relays:
        assert relay.wait() in {69, 77, 78}, relay.text
        relay.wait_for(reason)
        assert found_in(relay.text) == []


def _wrong_logins(right: dict[str, str], folder: Path) -> list[tuple[dict[str, str], str]]:
    """Return settings that get nowhere, each with what the relay has to say."""
    database, nats = urlsplit(right["OUTBOX_DATABASE_URL"]), urlsplit(right["OUTBOX_NATS_URL"])
    wrong = encoded(canary("wrong"))
    pairs = f"host={database.hostname} port={database.port} user=canary password='{canary('pairs')}'"
    creds = folder / "relay.creds"
    creds.write_text(canary("creds"), encoding="utf-8")
    url = f"postgresql://canary:{wrong}@{database.hostname}:{database.port}/d"
    at_nats = f"@{nats.hostname}:{nats.port}"
    refused = "Authorization Violation"
    return [
        ({"OUTBOX_DATABASE_URL": url}, "password authentication failed"),
        ({"OUTBOX_DATABASE_URL": pairs}, "password authentication failed"),
        ({"OUTBOX_NATS_URL": f"nats://relay:{wrong}{at_nats}"}, refused),
        ({"OUTBOX_NATS_URL": f"nats://{wrong}{at_nats}"}, refused),
        ({"OUTBOX_NATS_TOKEN": canary("token")}, refused),
        ({"OUTBOX_NATS_USER": "relay", "OUTBOX_NATS_PASSWORD": canary("other")}, refused),
        ({"OUTBOX_NATS_NKEY_SEED": canary("seed")}, "seed"),
        ({"OUTBOX_NATS_CREDS": str(creds)}, "does not hold"),
    ]


def test_t56_servers_that_a_relay_starts_see_no_secret(
    secret_database: str, command_process: Starter
) -> None:
    secrets = {name: canary(name) for name in ("OUTBOX_NATS_TOKEN", "PGPASSWORD", "OTHER_SECRET")}
    relay = command_process(
        "relay", "--embedded", OUTBOX_DATABASE_URL=secret_database, OUTBOX_HTTP="off", **secrets
    )
    relay.wait_for_record("wake.ready")
    made = urlsplit(relay.wait_for("OUTBOX_DATABASE_URL=(\\S+)")[1]).password or ""
    seen = children_as_shown(relay.pid)
    assert found_in(seen) == []
    assert made.encode() not in seen
    assert found_in(relay.text) == []
