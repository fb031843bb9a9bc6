"""`outbox-notify demo`: the whole way, with the relay as its users run it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.support.command import CommandProcess, Starter, run
from tests.support.processes import assert_gone, descendants_of

_LIVE = r"published ([1-9]\d*)  backlog \d+  oldest [\d.]+ s  p50 [\d.]+ ms  p99 [\d.]+ ms  failed 0"


def test_every_event_arrives_once_and_in_order() -> None:
    done = run("demo", "--events", "1000", "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert {name: account[name] for name in list(account)[:5]} == {
        "events": 1000,
        "delivered": 1000,
        "lost": 0,
        "duplicates": 0,
        "out_of_order": 0,
    }
    assert 0 < account["p50_ms"] <= account["p99_ms"]
    assert set(account) == {"events", "delivered", "lost", "duplicates", "out_of_order", "p50_ms", "p99_ms"}


def test_the_account_can_be_read_by_people() -> None:
    done = run("demo", "--events", "10")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 events: 10 delivered, 0 lost, 0 duplicates, 0 out of order\n")


def test_json_without_a_number_of_events_is_refused() -> None:
    done = run("demo", "--json")
    assert done.returncode == 2
    assert "--json needs --events" in done.stderr


def test_an_event_inserted_by_hand_is_seen_to_arrive(command_process: Starter, tmp_path: Path) -> None:
    servers_file = tmp_path / "servers.env"
    demo = command_process("demo", "--servers-file", str(servers_file), "--psql", "make psql")
    statement = demo.wait_for(r"make psql <<'SQL'\n((.*\n)*?.*;)\n  SQL")[1]
    url = servers_file.read_text().partition("OUTBOX_DATABASE_URL=")[2].partition("\n")[0]
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())
    demo.wait_for(r"^arrived: events\.north\.inventory\.receipt\.validated \{\"document\": ?\"by hand\"\}$")


def test_ctrl_c_drains_and_leaves_nothing(command_process: Starter) -> None:
    demo = command_process("demo")
    demo.wait_for(_LIVE)
    processes = descendants_of(demo.pid)
    demo.send(signal.SIGINT)
    assert demo.wait() == 0
    assert_gone(processes)
    assert " events published, 0 left" in demo.text


def test_nothing_outlives_a_killed_demo(command_process: Starter) -> None:
    demo = command_process("demo")
    demo.wait_for(_LIVE)
    processes = descendants_of(demo.pid)
    demo.kill()
    assert_gone(processes)


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_a_server_that_hangs(
    command_process: Starter,
) -> None:
    demo = command_process("demo")
    demo.wait_for(_LIVE)
    processes = descendants_of(demo.pid)
    os.kill(_descendant(demo, b"nats-server"), signal.SIGSTOP)
    demo.send(signal.SIGINT)
    demo.wait_for("draining")
    demo.send(signal.SIGINT)
    assert demo.wait(timeout=10) == 0
    assert_gone(processes)


@pytest.mark.slow
def test_a_relay_that_ends_by_itself_ends_the_demo_with_its_reason(
    command_process: Starter,
) -> None:
    demo = command_process("demo")
    demo.wait_for(_LIVE)
    os.kill(_descendant(demo, b"relay"), signal.SIGKILL)
    assert demo.wait() == 69
    assert "outbox-notify: the relay has ended" in demo.text


def _descendant(demo: CommandProcess, word: bytes) -> int:
    """Return the process id of a descendant with this word on its command line."""
    return next(pid for pid in descendants_of(demo.pid) if word in Path(f"/proc/{pid}/cmdline").read_bytes())
