"""`outbox-notify emit` as its users run it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import psycopg
import pytest

from tests.support.command import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Run: TypeAlias = "Callable[..., subprocess.CompletedProcess[bytes]]"
LINE = '{"tenant_id": "acme", "event_type": "goods.received", "payload": %s}\n'


@pytest.fixture
def emit(database: str) -> Run:
    """Run `outbox-notify emit` against the test's database."""

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, "emit", *arguments],
            env=environment(OUTBOX_DATABASE_URL=database),
            input=stdin,
            capture_output=True,
            check=False,
        )

    return run


def written(database: str, names: str) -> list[Any]:
    with psycopg.connect(database) as link:
        return link.execute(f"SELECT {names} FROM event_outbox ORDER BY id").fetchall()  # noqa: S608  # our own text


def test_options_become_an_event(emit: Run, database: str) -> None:
    done = emit(
        *("acme", "goods.received", "--payload", '{"sku": "ä"}', "--aggregate", "order", "5 %"),
        *("--header", "traceparent=00", "--header", "X=a=b", "--content-type", "application/x+json"),
        *("--at", "2030-01-31T09:00:00+01:00", "--event-id", "01890a5d-ac96-774b-bcce-b302099a8057"),
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"01890a5d-ac96-774b-bcce-b302099a8057\n", b"")
    columns = (
        "tenant_id, event_type, payload, aggregate_type, aggregate_id, headers, content_type, event_id::text,"
        " available_at = '2030-01-31T08:00:00Z'"
    )
    assert written(database, columns) == [
        (
            "acme",
            "goods.received",
            {"sku": "ä"},
            "order",
            "5 %",
            {"traceparent": "00", "X": "a=b"},
            "application/x+json",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            True,
        )
    ]


def test_delay_counts_by_the_clock_of_the_database(emit: Run, database: str) -> None:
    assert emit("acme", "order.due", "--payload", "1", "--in", "90m").returncode == 0

    assert written(database, "available_at - created_at = interval '90 minutes'") == [(True,)]


def test_bodies_come_from_files_and_stdin(emit: Run, database: str, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b'{"a": "\xc3\xa4"}')
    emit("acme", "a", "--payload-file", str(file))
    emit("acme", "a", "--payload-file", "-", stdin=b"[1]")
    emit("acme", "a", "--bytes-file", "-", stdin=b"\0\xff")

    assert written(database, "payload, payload_bytes") == [({"a": "ä"}, None), ([1], None), (None, b"\0\xff")]


def test_lines_become_events_in_their_order(emit: Run, database: str) -> None:
    done = emit("--jsonl", "-", "--json", stdin="".join(LINE % number for number in range(1200)).encode())

    ids = [(UUID(text),) for text in json.loads(done.stdout)["event_ids"]]
    assert written(database, "event_id") == ids
    assert written(database, "payload") == [(number,) for number in range(1200)]


def test_one_bad_line_keeps_all_out(emit: Run, database: str) -> None:
    done = emit("--jsonl", "-", stdin=(LINE % 1 + LINE % "NaN").encode())

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"outbox-notify: line 2: payload: <class 'float'> is not valid")
    assert written(database, "id") == []


def test_repeated_event_id_does_nothing(emit: Run, database: str) -> None:
    arguments = ("acme", "a", "--payload", "1", "--event-id", "01890a5d-ac96-774b-bcce-b302099a8057")

    assert emit(*arguments).returncode == emit(*arguments).returncode == 0
    assert len(written(database, "id")) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], b"name TENANT and EVENT_TYPE, or give --jsonl"),
        (["acme", "a"], b"give one of --payload, --payload-file and --bytes-file"),
        (["acme", "a", "--payload", "1", "--bytes-file", "-"], b"give one of"),
        (["acme", "a", "--payload", "{"], b"'--payload': not JSON"),
        (["acme", "a", "--payload", "1", "--at", "2030-01-31T09:00"], b"with its offset"),
        (["acme", "a", "--payload", "1", "--at", "2030-01-31T09:00Z", "--in", "1s"], b"exclude each other"),
        (["acme", "a", "--payload", "1", "--header", "novalue"], b"must be NAME=VALUE"),
        (["acme", "--jsonl", "-"], b"--jsonl stands alone"),
    ],
)
def test_wrong_usage_is_said_with_exit_code_2(emit: Run, arguments: list[str], text: bytes) -> None:
    done = emit(*arguments)

    assert (done.returncode, done.stdout) == (2, b"")
    assert text in done.stderr


def test_value_against_the_rules_is_one_line_with_exit_code_1(
    emit: Run,
) -> None:
    done = emit("acme inc.", "a", "--payload", "1")

    assert done.returncode == 1
    assert done.stderr.startswith(b"outbox-notify: tenant_id: 'acme inc.' is not valid: must be 1 to 64")
    assert done.stderr.count(b"\n") == 1


def test_missing_outbox_is_one_line_with_exit_code_78(empty_database: str) -> None:
    done = subprocess.run(
        [*COMMAND, "emit", "acme", "a", "--payload", "1"],
        env=environment(OUTBOX_DATABASE_URL=empty_database),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 78
    assert b"run `outbox-notify migrate`" in done.stderr
    assert done.stderr.count(b"\n") == 1
