"""Every command of the tutorial, typed into one shell in an empty folder, says what the tutorial shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

from tests.support import wheel
from tests.support.command import environment
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = wheel.ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(bash|text|python)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PATIENCE = 60.0


class Block(NamedTuple):
    """What stands between two fences."""

    kind: str
    title: str
    text: str


class Shell:
    """A bash that is typed into."""

    def __init__(self, folder: Path, path: str) -> None:
        self.output = folder.parent / "shell.log"
        with self.output.open("wb") as sink:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=folder,
                env=environment(PATH=path),
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        self._typed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # What it has left in the background, too.
        with self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
        # Shown when the test fails.
        print(self.output.read_text())  # noqa: T201

    def type(self, text: str) -> str:
        """Return what a block writes, once it has ended."""
        assert self._process.stdin is not None
        self._typed += 1
        done, begin = f"--- end of block {self._typed}\n", self.output.stat().st_size
        self._process.stdin.write(f"{text}\necho '{done.rstrip()}'\n")
        self._process.stdin.flush()
        wait_for(lambda: done in self.output.read_text(), PATIENCE, f"the end of\n{text}")
        return self.output.read_bytes()[begin:].decode().removesuffix(done)


def blocks() -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))]


def test_every_fence_of_the_tutorial_is_understood() -> None:
    fences = re.findall(r"^```(?=\S)", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == len(blocks()) > 0


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """Folder with a python3 whose environments have a pip that takes the wheel of this checkout."""
    built, folder = wheel.build(tmp_path / "dist"), tmp_path / "bin"
    folder.mkdir()
    _script(
        folder / "pip",
        f"""
        [ "$*" = 'install outbox-notify[embedded]' ] || exit 2
        PYTHONPATH={wheel.ROOT} exec {sys.executable} -m tests.support.wheel install {built} "${{0%/bin/pip}}"
        """,
    )
    _script(
        folder / "python3",
        f"""
        [ "$1 $2" = '-m venv' ] || exit 2
        PYTHONPATH={wheel.ROOT} {sys.executable} -m tests.support.wheel make "$3" && cp {folder}/pip "$3/bin/pip"
        """,
    )
    return folder


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}")
    path.chmod(0o755)


def test_every_command_of_the_tutorial_does_what_the_tutorial_shows(stand_ins: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    said = ""
    with Shell(folder, f"{stand_ins}:{os.environ['PATH']}") as shell:
        for block in blocks():
            if block.kind == "python":
                (folder / block.title).write_text(block.text)
            elif block.kind == "bash":
                said = shell.type(block.text)
            else:
                _assert_shown(block.text, said)
        assert shell.type("jobs") == ""


def _assert_shown(expected: str, said: str) -> None:
    """Assert that each expected line was written, in this order; what is measured may differ."""
    lines = iter(said.splitlines())
    for line in expected.splitlines():
        assert any(_measured(line) == _measured(found) for found in lines), f"{line}\nis not in\n{said}"


def _measured(line: str) -> str:
    line = re.sub(r"[\d,]+(\.\d+)? (ms|s|kB|a second)\b", "(measured)", line)
    return re.sub(r" +", " ", re.sub(r"\d{4}-\d\d-\d\d [\d:+]+", "(time)", line))
