"""`outbox-notify doctor` as its users run it."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.types.json import Jsonb

from outbox_notify.embedded import EmbeddedNats, EmbeddedPostgres
from outbox_notify.operations.doctor.examination import SUBJECTS
from tests.support.canaries import CANARY, canary, encoded, found_in
from tests.support.command import ENDED_BY_CTRL_C, run
from tests.support.events import put
from tests.support.postgres import migrate
from tests.support.roles import grant_roles, user_with_role
from tests.support.stream import create_stream, read_stream, stored, update_stream, wait_for_stored
from tests.support.wake import WakeView

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.command import Starter

NOWHERE: dict[str, Any] = {
    "OUTBOX_DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:1/d",
    "OUTBOX_NATS_URL": f"nats://u:{CANARY}@127.0.0.1:1",
}


def read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the document of `--json`, and hold it to what it promises."""
    document: dict[str, Any] = json.loads(done.stdout)
    levels = [check["level"] for check in document["checks"]]
    assert list(document) == ["ok", "warn", "fail", "checks"]
    for level in ("ok", "warn", "fail"):
        assert document[level] == levels.count(level)
    known = {name for subject in SUBJECTS for name in (subject.name, *subject.checks)}
    for check in document["checks"]:
        assert list(check) == ["check", "level", "finding", "mend"]
        assert check["check"] in known
        assert (check["mend"] is None) == (check["level"] == "ok")
    assert done.returncode == (1 if document["fail"] else 0)
    return document


def troubles(document: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["level"] for check in document["checks"] if check["level"] != "ok"}


@contextmanager
def good_servers() -> Iterator[tuple[EmbeddedPostgres, str, EmbeddedNats]]:
    """Run servers as they should be: fsync, a role of its own for the relay, a stream."""
    with EmbeddedPostgres(18) as postgres, EmbeddedNats() as nats:
        migrate(postgres.url)
        grant_roles(postgres.url, "public", 18)
        with user_with_role(postgres.url, "outbox_relay") as url:
            yield postgres, url, nats


def test_good_set_up_has_nothing_to_say_but_that_there_is_one_nats(
    command_process: Starter,
) -> None:
    with good_servers() as (postgres, url, nats):
        settings: dict[str, Any] = {"OUTBOX_DATABASE_URL": url, "OUTBOX_NATS_URL": nats.url}
        relay = command_process("relay", **settings, OUTBOX_RELAY_ID="depot-1")
        with psycopg.connect(postgres.url, autocommit=True) as conn:
            WakeView(conn).wait_until_armed()
            put(conn)
            wait_for_stored(nats.url, 1)
            WakeView(conn).wait_until_armed()
            conn.execute("LISTEN event_outbox_public")
            done = run("doctor", **settings)
            document = read(run("doctor", "--json", **settings))
            # Nobody was woken by it: the first that is heard is our own.
            conn.execute("NOTIFY event_outbox_public, 'ours'")
            assert [note.payload for note in conn.notifies(timeout=10, stop_after=1)] == ["ours"]
            assert conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (1,)
        assert relay.stop() == 0
        assert troubles(document) == {"stream.replicas": "warn"}
        assert document["checks"][0] == {
            "check": "settings.lease",
            "level": "ok",
            "finding": "a lease holds 30 s, acks are awaited 10 s",
            "mend": None,
        }
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert [line.split()[1] for line in lines if line.startswith(("ok", "warn", "fail"))] == [
            check["check"] for check in document["checks"]
        ]
        assert lines[-1] == f"{document['ok']} ok, 1 warn, 0 fail"
        assert any(line.strip() == "-> nats stream edit OUTBOX --replicas 3" for line in lines)
        assert stored(nats.url) == 1


def test_server_that_is_away_is_a_fail_beside_the_rows_of_the_others(
    database: str, nats_server: EmbeddedNats
) -> None:
    done = run("doctor", "--json", **NOWHERE)
    document = read(done)
    assert {check: level for check, level in troubles(document).items() if level == "fail"} == {
        "postgres": "fail",
        "nats": "fail",
    }
    assert "settings.lease" in {check["check"] for check in document["checks"]}
    without_nats = read(run("doctor", "--json", **{**NOWHERE, "OUTBOX_DATABASE_URL": database}))
    assert without_nats["ok"] > 20
    without_database = read(run("doctor", "--json", **{**NOWHERE, "OUTBOX_NATS_URL": nats_server.url}))
    assert "nats.jetstream" in {check["check"] for check in without_database["checks"]}
    assert found_in(str([document, without_nats, without_database]) + done.stderr) == []


def test_settings_that_cannot_be_read_are_78() -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"OUTBOX_DATABASE_URL": "nonsense"},
        {**NOWHERE, "OUTBOX_LEASE": "soon"},
    ]
    for settings in wrong:
        done = run("doctor", **settings)
        assert (done.returncode, done.stdout) == (78, "")
        assert "Traceback" not in done.stderr
        assert found_in(done.stderr) == []


def test_settings_that_fight_each_other_only_warn(database: str, nats_server: EmbeddedNats) -> None:
    document = read(
        run(
            "doctor",
            "--json",
            OUTBOX_DATABASE_URL=database,
            OUTBOX_NATS_URL=nats_server.url,
            OUTBOX_SWEEP_INTERVAL="60s",
            OUTBOX_SHUTDOWN_TIMEOUT="5s",
            OUTBOX_ORDERING="none",
            OUTBOX_ON_FAILED="block",
            OUTBOX_RETENTION="0",
        )
    )
    found = {check for check in troubles(document) if check.startswith("settings.")}
    assert found == {"settings.lease", "settings.stop", "settings.order", "settings.retention"}
    assert document["fail"] == 0


def test_event_too_large_for_server_and_stream_is_found_and_no_secret_is_shown(
    database: str, nats_server: EmbeddedNats
) -> None:
    create_stream(nats_server.url, "events.>", max_msg_size=100_000)
    with psycopg.connect(database, autocommit=True) as conn:
        put(conn, headers=Jsonb({"authorization": canary("header")}))
        large = put(conn, tenant_id="globex", payload=Jsonb(canary("body") * 50_000))
    address = urlsplit(nats_server.url)
    settings: dict[str, Any] = {
        "OUTBOX_DATABASE_URL": database,
        "OUTBOX_NATS_URL": f"nats://u:{encoded(canary('password'))}@{address.netloc}",
        "OUTBOX_HTTP_AUTH": f"u:{canary('login').replace(':', '')}",
    }
    done, text = run("doctor", "--json", **settings), run("doctor", **settings)
    rows = {check["check"]: check for check in read(done)["checks"]}
    for check in ("nats.max_payload", "stream.message_size"):
        assert rows[check]["level"] == "fail"
        assert f"event {large} has about " in rows[check]["finding"]
    assert found_in(done.stdout + done.stderr + text.stdout + text.stderr) == []
    assert (text.returncode, read_stream(nats_server.url)) == (1, [])


def test_it_waits_for_servers_that_start_later(
    command_process: Starter, database: str, nats_server: EmbeddedNats
) -> None:
    settings: dict[str, Any] = {"OUTBOX_DATABASE_URL": database, "OUTBOX_NATS_URL": nats_server.url}
    create_stream(nats_server.url, "events.>", duplicate_window=10**9)
    nats_server.stop()
    assert run("doctor", "--wait", "0", **settings).returncode == 1
    waiting = command_process("doctor", "--wait", "60", **settings)
    waiting.wait_for("^waiting: nats: ")
    nats_server.start()
    # What else fails is waited for as well.
    waiting.wait_for("^waiting: stream.duplicates: ")
    update_stream(nats_server.url, duplicate_window=600 * 10**9)
    assert waiting.wait(60) == 0
    assert waiting.text.splitlines()[-1].endswith("0 fail")


def test_ctrl_c_ends_the_waiting(command_process: Starter) -> None:
    waiting = command_process("doctor", "--wait", "60", **NOWHERE)
    waiting.wait_for("^waiting: postgres: ")
    waiting.send(signal.SIGINT)
    assert waiting.wait() in ENDED_BY_CTRL_C
    assert found_in(waiting.text) == []
    assert "Traceback" not in waiting.text


def test_what_others_named_stays_in_its_line(database: str, nats_server: EmbeddedNats) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute('CREATE INDEX "two\nlines \x1b[31m" ON event_outbox (tenant_id)')
    done = run("doctor", OUTBOX_DATABASE_URL=database, OUTBOX_NATS_URL=nats_server.url)
    assert "\x1b" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "schema.extras" in line]
    assert line.startswith("warn")
    assert r"two\nlines \x1b[31m" in line


@pytest.mark.parametrize("wait", ["soon", "2h"])
def test_wrong_wait_is_usage(wait: str) -> None:
    assert run("doctor", "--wait", wait, **NOWHERE).returncode == 2
