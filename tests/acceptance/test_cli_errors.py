"""What users see when something is wrong: clear lines, the right exit code, no traceback, no secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from outbox_notify.cli import VERBS
from outbox_notify.cli.exits import EXIT_CODES
from outbox_notify.config.settings import declarations
from tests.support.command import COMMAND, ENDED_BY_CTRL_C, environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Starter

CANARY = "c4nary-s3cret"
NOBODY = f"postgresql://u:{CANARY}@127.0.0.1:1/d"
SLOW_IMPORTS = {"anyio", "asyncio", "nats", "psycopg", "psycopg_pool", "rich", "structlog"}


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_wrong_settings_are_named_all_together() -> None:
    done = run("config", "show", OUTBOX_LEASE="30", OUTBOX_WAKE="loud", OUTBOX_SCHEMA='a";--')
    assert done.returncode == 78
    assert done.stdout == ""
    assert [line.partition(" must")[0] for line in lines(done)] == [
        "outbox-notify: OUTBOX_SCHEMA 'a\";--'",
        "outbox-notify: OUTBOX_LEASE '30'",
        "outbox-notify: OUTBOX_WAKE 'loud'",
    ]


@pytest.mark.parametrize("verb", ["relay", "status", "migrate"])
def test_a_wrong_setting_stops_every_verb(verb: str) -> None:
    done = run(verb, OUTBOX_BATCH_SIZE="many")
    assert done.returncode == 78
    assert lines(done) == ["outbox-notify: OUTBOX_BATCH_SIZE 'many' must be a whole number from 1 to 10000"]


@pytest.mark.parametrize("verb", ["relay", "status", "migrate"])
def test_a_missing_database_url_is_named(verb: str) -> None:
    done = run(verb)
    assert done.returncode == 78
    assert "OUTBOX_DATABASE_URL" in lines(done)[0]


def test_a_missing_config_file_is_named() -> None:
    done = run("--config", "/nowhere.toml", "config", "show")
    assert done.returncode == 78
    assert lines(done) == ["outbox-notify: /nowhere.toml: No such file or directory"]


@pytest.mark.parametrize("verb", [["status"], ["migrate"], ["failed", "list"]])
def test_an_unreachable_database_is_one_line_with_its_address(verb: list[str]) -> None:
    done = run(*verb, OUTBOX_DATABASE_URL=NOBODY)
    assert done.returncode == 69
    assert lines(done) == ["outbox-notify: PostgreSQL at 127.0.0.1:1/d as u: Connection refused"]


# The relay says it also while NATS is away and it claims nothing.
@pytest.mark.parametrize("verb", ["status", "relay"])
def test_a_database_without_an_outbox_says_to_migrate(empty_database: str, verb: str) -> None:
    done = run(verb, OUTBOX_DATABASE_URL=empty_database, OUTBOX_NATS_URL="nats://127.0.0.1:1")
    assert done.returncode == 78
    assert "outbox-notify migrate" in lines(done)[-1]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["--nonsense"], ["relay", "--nonsense"], ["config", "show", "x"]]
)
def test_bad_usage_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage:" in lines(done)[0]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (NOBODY, 69),
        (f"postgresql://u:{CANARY}%zz@h/d", 78),
        (f"postgresql://u:{CANARY}@{CANARY}@h/d", 78),
        (f"postgresql://u:{CANARY}@h/d?nonsense=1", 78),
        (f"postgresql://u:1/{CANARY}@h/d", 78),
        (f"password={CANARY} {CANARY}", 78),
    ],
)
def test_t56_secrets_are_never_printed(url: str, code: int) -> None:
    done = run("-v", "migrate", "status", OUTBOX_DATABASE_URL=url)
    assert done.returncode == code
    assert CANARY not in "".join(lines(done)) + done.stdout


def test_settings_are_shown_with_their_source_and_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('batch_size = 7\nlease = "1m"\n', encoding="utf-8")
    before = ("--config", str(file), "--stream", "S")
    done = run(*before, "config", "show", "--json", OUTBOX_DATABASE_URL=NOBODY, OUTBOX_NATS_TOKEN=CANARY)
    shown = json.loads(done.stdout)
    assert CANARY not in done.stdout + done.stderr
    assert list(shown) == list(declarations())
    assert shown["batch_size"] == {"value": 7, "source": f"file {file}"}
    assert shown["lease"] == {"value": 60.0, "source": f"file {file}"}
    assert shown["stream"] == {"value": "S", "source": "flag --stream"}
    assert shown["nats_token"] == {"value": "***", "source": "environment OUTBOX_NATS_TOKEN"}
    assert shown["database_url"]["value"] == "postgresql://u:***@127.0.0.1:1/d"


def test_settings_are_shown_as_text() -> None:
    rows = [row.split() for row in run("config", "show", OUTBOX_HTTP="off").stdout.splitlines()]
    assert ["lease", "30s", "default"] in rows
    assert ["http", "off", "environment", "OUTBOX_HTTP"] in rows


def test_a_stranger_in_the_environment_only_warns() -> None:
    done = run("config", "show", OUTBOX_SERVICE_HOST="10.0.0.1")
    assert done.returncode == 0
    assert lines(done) == ["outbox-notify: warning: OUTBOX_SERVICE_HOST is not a setting; ignored"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = (
        'import sys; sys.argv = ["outbox-notify", "config", "show"]; import outbox_notify.cli as c; c.main()'
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"sys = __import__('sys'); sys.stdin.read(1); {script}"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        _, complaints = process.communicate(b"go")
    assert process.returncode == 141
    assert complaints == b""


def test_ctrl_c_ends_without_a_traceback(command_process: Starter, tmp_path: Path) -> None:
    fifo = tmp_path / "token"
    os.mkfifo(fifo)
    process = command_process("config", "show", OUTBOX_NATS_TOKEN_FILE=str(fifo))
    with fifo.open("wb"):  # opens once the command is reading: it is inside a verb
        process.send(signal.SIGINT)
        assert process.wait() in ENDED_BY_CTRL_C
    assert "Traceback" not in process.text


def test_help_names_verbs_exit_codes_and_variables() -> None:
    text = run("--help").stdout
    wanted = [*VERBS, *(code for code, _ in EXIT_CODES), *(item.variable for item in declarations().values())]
    assert [word for word in wanted if word not in text.split()] == []


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert f"outbox-notify {verb}" in done.stdout


def test_help_of_the_relay_has_an_option_for_every_setting_but_secrets() -> None:
    words = run("relay", "--help").stdout.split()
    assert [
        item.name
        for item in declarations().values()
        if (f"--{item.name.replace('_', '-')}" in words) is (item.shown == "never")
    ] == []


def test_help_does_not_wait_for_drivers() -> None:
    watch = "import sys, runpy; sys.argv = ['outbox-notify', '--help']\n"
    watch += "try: runpy.run_module('outbox_notify', run_name='__main__')\n"
    watch += "finally: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", watch], env=environment(), capture_output=True, text=True, check=False
    )
    assert "Commands:" in done.stdout
    assert set(done.stderr.split()) & SLOW_IMPORTS == set()


def test_the_module_is_the_command() -> None:
    assert COMMAND[1:] == ["-m", "outbox_notify"]
    assert run("--version").stdout.startswith("outbox-notify ")
