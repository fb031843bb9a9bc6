"""Text of rows and servers, however hostile, stays inside its log line and its line of output, and is cut."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from tests.support.command import run
from tests.support.events import put, put_failed
from tests.support.front import STORE, Answer, standing_before
from tests.support.outbox import outbox_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outbox_notify.embedded import EmbeddedNats
    from tests.support.command import Starter

# Breaks a line, begins one of its own, colours a terminal, turns the reading direction, hides, rings.
HOSTILE = 'fake\r\n{"event": "relay.stopped"}\n2026 info relay.stopped \x1b[31m\x9b2J\u202e\u2066\u200b\u2028\x85\x07'
LONG = HOSTILE + "y" * 1_000_000
LONGEST_LINE = 5_000
TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (debug|info|warning|error) +[a-z.]+( \w+=.*)?"
)


def assert_whole_lines(text: str, log_format: str) -> None:
    """Fail unless each line is a record of its own, short and safe on a terminal."""
    assert "fake" in text, "nothing hostile was logged"
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        assert line.isprintable(), line[:200]
        assert len(line) < LONGEST_LINE
        if log_format == "json":
            assert line.isascii()
            assert json.loads(line)["event"] != "relay.stopped"
        else:
            assert TEXT_LINE.fullmatch(line), line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_t59_hostile_rows_and_answers_are_one_short_line_each(
    database: str, nats_server: EmbeddedNats, relay_process: Starter, log_format: str
) -> None:
    answers = {
        "refused": {"code": 400, "err_code": 19999, "description": HOSTILE + "z" * 500_000},
        "full": {"code": 503, "err_code": 10077, "description": HOSTILE},
    }

    def decide(subject: str, _event_id: str) -> Answer:
        error = answers.get(subject.rpartition(".")[2])
        return Answer(stores=False, error=error) if error else STORE

    with outbox_table(database) as table, standing_before(nats_server.url, decide):
        _insert_hostile_rows(table.conn)
        put(table.conn, event_type="refused")
        put(table.conn, event_type="full")
        relay = relay_process(
            OUTBOX_LOG_FORMAT=log_format, OUTBOX_MAX_ATTEMPTS="1", OUTBOX_SWEEP_INTERVAL="200ms"
        )
        relay.wait_for("route.resting")
        relay.wait_for("event.failed(.|\n)*event.failed(.|\n)*event.failed")
        _refuse_updates(table.conn, LONG)
        put(table.conn)
        relay.wait_for("claim.postponed")
        relay.kill()
        reasons = [row.last_error for row in table.rows() if row.last_error]
    assert len(reasons) == 4
    assert max(map(len, reasons)) <= 500
    assert_whole_lines(relay.text, log_format)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_t59_what_a_stranger_says_in_place_of_nats_is_one_short_line(
    relay_process: Starter, log_format: str
) -> None:
    with _rude_server() as url:
        relay = relay_process(OUTBOX_NATS_URL=url, OUTBOX_LOG_FORMAT=log_format)
        relay.wait_for("outage.started.*fake", 10)
        relay.kill()
    assert_whole_lines(relay.text, log_format)


@pytest.mark.parametrize("arguments", [
    ["failed", "list"], ["failed", "list", "--json"], ["failed", "show", "ID", "--payload"],
    ["failed", "show", "ID", "--json"], ["status"], ["status", "--json"],
    ["why", "ID"], ["why", "ID", "--json"],
], ids=" ".join)  # fmt: skip
def test_t59_hostile_rows_stay_inside_their_line_of_output(database: str, arguments: list[str]) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        _drop_rules(conn)
        values = {
            "tenant_id": HOSTILE,
            "event_type": HOSTILE,
            "last_error": HOSTILE,
            "payload": json.dumps(HOSTILE),
        }
        name = str(put_failed(conn, **values, headers=json.dumps({HOSTILE: HOSTILE})))
        conn.execute(
            "UPDATE event_outbox SET status = 'in_progress', claimed_by = %s, lease_until = now(),"
            " lease_token = gen_random_uuid() WHERE id = %s",
            [LONG, put(conn)],
        )
    done = run(*[name if word == "ID" else word for word in arguments], OUTBOX_DATABASE_URL=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fake" in done.stdout
    assert all(line.isprintable() for line in done.stdout.removesuffix("\n").split("\n"))


def test_t59_what_postgresql_says_is_one_short_line(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        row_id = put_failed(conn)
        _refuse_updates(conn, LONG)
    done = run("failed", "requeue", str(row_id), "--yes", OUTBOX_DATABASE_URL=database)
    assert (done.returncode, done.stdout) == (1, "")
    assert "fake" in done.stderr
    assert len(done.stderr) < LONGEST_LINE
    assert all(line.isprintable() for line in done.stderr.removesuffix("\n").split("\n"))


def test_t59_hostile_names_in_the_environment_are_one_line() -> None:
    hostile: dict[str, Any] = {f"OUTBOX_{HOSTILE}": "1"}
    done = run("config", "show", **hostile)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.removesuffix("\n").isprintable()


def _drop_rules(conn: psycopg.Connection) -> None:
    """Let in what the table refuses, as a superuser's mistake would."""
    for domain in ("token", "type", "headers"):
        name = sql.Identifier(f"event_outbox_{domain}")
        rule = sql.Identifier(f"event_outbox_{domain}_rule")
        conn.execute(sql.SQL("ALTER DOMAIN {} DROP CONSTRAINT {}").format(name, rule))


def _insert_hostile_rows(conn: psycopg.Connection) -> None:
    _drop_rules(conn)
    put(conn, tenant_id=LONG)
    put(conn, event_type=LONG)


def _refuse_updates(conn: psycopg.Connection, text: str) -> None:
    """Let every UPDATE of the outbox fail with a text."""
    conn.execute(
        sql.SQL("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS {}").format(
            sql.Literal(f"BEGIN RAISE EXCEPTION USING MESSAGE = {sql.Literal(text).as_string(conn)}; END")
        )
    )
    conn.execute("CREATE TRIGGER refuse BEFORE UPDATE ON event_outbox EXECUTE FUNCTION refuse()")


@contextmanager
def _rude_server() -> Iterator[str]:
    """Answer every connection as a NATS server that is angry, for the time of the context; yields its URL."""
    info = {"server_id": "x", "version": "2.14.0", "headers": True, "max_payload": 1_048_576, "proto": 1}
    said = HOSTILE.replace("\r\n", "").replace("\n", "") + "w" * 20_000
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.sendall(f"INFO {json.dumps(info)}\r\n".encode())
                    link.recv(65536)
                    link.sendall(f"-ERR '{said}'\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"nats://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
