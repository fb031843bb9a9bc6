"""The Makefile, as far as it can be tried without setting up again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import environment

ROOT = Path(__file__).parents[2]


def _make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd,
        env=environment(MAKEFLAGS=""),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def fresh_clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def _python(folder: Path, script: str) -> str:
    """Write a stand-in for python3 and return its path."""
    path = folder / "python-stand-in"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_help_is_the_default_and_names_every_target() -> None:
    done = _make()
    assert done.returncode == 0
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))
    shown = [line.split()[1] for line in done.stdout.splitlines()]
    assert sorted(shown) == sorted(phony.split()[1:])


def test_an_unknown_target_is_an_error() -> None:
    assert _make("no-such-target").returncode == 2


def test_without_pip_and_venv_one_line_says_what_to_install(fresh_clone: Path) -> None:
    python = _python(fresh_clone, 'case "$*" in *pip*) exit 1;; *) exit 0;; esac')
    done = _make("setup", f"PYTHON={python}", cwd=fresh_clone)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if "apt-get" in line] == [
        "setting up needs pip or venv: apt-get install python3-venv python3-pip"
    ]
    assert done.stdout == ""


def test_an_old_python_is_named_as_the_reason(fresh_clone: Path) -> None:
    done = _make("setup", f"PYTHON={_python(fresh_clone, 'exit 1')}", cwd=fresh_clone)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
