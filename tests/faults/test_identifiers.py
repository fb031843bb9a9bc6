"""A schema name that could break out of its quotes, or be cut, gets nowhere: neither by settings nor by calls."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest

from outbox_notify import Event, emit
from outbox_notify.embedded.binaries import postgres_installation
from outbox_notify.errors import ConfigError
from outbox_notify.operations import failed
from outbox_notify.operations.status import read_status
from outbox_notify.schema.migrate import migrate_up
from tests.support.command import run
from tests.support.roles import ROLES_SQL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import Link

NOBODY = "postgresql://u@127.0.0.1:1/d"
HOSTILE = [
    'a"; DROP TABLE event_outbox; --', "a'b", "a;b", "a b", "a.event_outbox", "A", "ä", "\u202ea", "a\u0301", "1a",
    "public\n", "pg_catalog", "a" * 51, "a" * 64, "%s", "{schema}", ":schema",
]  # fmt: skip
VERBS = [
    ["relay", "--drain"], ["migrate", "up"], ["migrate", "sql"], ["migrate", "status"], ["migrate", "verify"],
    ["status"], ["why", "1"], ["failed", "list"], ["failed", "discard", "--all", "--yes"], ["config", "show"],
    ["emit", "acme", "a.b", "--payload", "1"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_t58_every_verb_refuses_a_hostile_schema_before_it_connects(arguments: list[str]) -> None:
    done = run(*arguments, OUTBOX_DATABASE_URL=NOBODY, OUTBOX_SCHEMA=HOSTILE[0])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert "OUTBOX_SCHEMA" in done.stderr


def test_t58_the_schema_is_checked_wherever_it_may_be_set(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"schema = '''{HOSTILE[0]}'''", encoding="utf-8")
    for arguments in (
        ["--schema", HOSTILE[0], "status"],
        ["relay", "--schema", HOSTILE[0]],
        ["--config", str(file), "status"],
    ):
        done = run(*arguments, OUTBOX_DATABASE_URL=NOBODY)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
        assert "must start with a-z" in done.stderr


CALLS: dict[str, Callable[[Link, str], object]] = {
    "emit": lambda conn, schema: emit(conn, Event("acme", "a.b", 1), schema=schema),
    "migrate": migrate_up,
    "status": read_status,
    "requeue": lambda conn, schema: failed.requeue(conn, schema, [[1]]),
}


@pytest.mark.parametrize("call", CALLS)
def test_t58_calls_take_no_hostile_schema_and_write_nothing(database: str, call: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        for schema in HOSTILE:
            with pytest.raises(ConfigError, match="must start with a-z"):
                CALLS[call](conn, schema)
        assert conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)


@pytest.mark.parametrize("variable", ["schema", "writer"])
def test_t58_roles_sql_quotes_its_variables(database: str, variable: str) -> None:
    psql = postgres_installation(18) / "bin" / "psql"
    hostile = "x\"; DROP TABLE event_outbox; -- ' ; $$"
    command = [str(psql), "--no-psqlrc", f"--set={variable}={hostile}", "--file", str(ROLES_SQL), database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    with psycopg.connect(database, autocommit=True) as conn:
        assert conn.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)
        made = conn.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [hostile]).fetchone()
        if variable == "writer":
            conn.execute('DROP OWNED BY "x""; DROP TABLE event_outbox; -- \' ; $$"')
            conn.execute('DROP ROLE "x""; DROP TABLE event_outbox; -- \' ; $$"')
    assert (done.returncode, made) == ((3, (0,)) if variable == "schema" else (0, (1,)))
