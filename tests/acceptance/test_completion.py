"""Completion in the shell: click's own, which has to know the verbs without anybody loading them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outbox_notify.cli import VERBS
from tests.support.command import environment

INSTALLED = Path(sys.executable).with_name("outbox-notify")


def completed(*words: str) -> list[str]:
    """Return what Tab would offer in bash for the last word."""
    done = subprocess.run(
        [INSTALLED],
        env=environment(
            _OUTBOX_NOTIFY_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(["outbox-notify", *words]),
            COMP_CWORD=str(len(words)),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_verbs_their_verbs_and_options_are_completed() -> None:
    assert completed("") == list(VERBS)
    assert completed("re") == ["relay", "resume", "replay"]
    assert completed("failed", "re") == ["requeue"]
    assert "--shutdown-timeout" in completed("relay", "--sh")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    done = subprocess.run(
        [INSTALLED],
        env=environment(_OUTBOX_NOTIFY_COMPLETE=f"{shell}_source"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "outbox-notify" in done.stdout
    assert done.stderr == ""


def test_bash_takes_the_script() -> None:
    bash = shutil.which("bash")
    assert bash
    path = f"{INSTALLED.parent}:/usr/bin:/bin"
    script = """
        eval "$(_OUTBOX_NOTIFY_COMPLETE=bash_source outbox-notify)"
        COMP_WORDS=(outbox-notify fai) COMP_CWORD=1
        _outbox_notify_completion outbox-notify
        echo "${COMPREPLY[@]}"
        complete -p outbox-notify
    """
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    reply, function = done.stdout.splitlines()
    assert reply == "failed"
    assert "_outbox_notify_completion outbox-notify" in function
