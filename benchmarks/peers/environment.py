"""The peers' virtual environment: made once, and filled with what can be had."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from outbox_notify.embedded import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FOLDER = Path(".venv-peers")
_CONSTRAINTS = Path(__file__).with_name("constraints.txt")
# The requirements that are there.
_INSTALLED = _FOLDER / "installed.json"


def python() -> Path:
    """Return the environment's interpreter."""
    return (_FOLDER / "bin" / "python").absolute()


def install(requirements: Iterable[str], say: Callable[[str], None]) -> dict[str, str]:
    """Install what is missing, and return why a requirement cannot be had, for those that cannot.

    What cannot be had is tried again the next time. What is half done when this is interrupted is removed.
    """
    installed = _installed()
    missing = [requirement for requirement in dict.fromkeys(requirements) if requirement not in installed]
    if not missing:
        return {}
    try:
        reasons = _install(missing, installed, say)
        there = sorted({*installed, *missing} - reasons.keys())
        _INSTALLED.write_text(json.dumps(there), encoding="utf-8")
    except BaseException:
        shutil.rmtree(_FOLDER, ignore_errors=True)
        raise
    return reasons


def _installed() -> set[str]:
    try:
        return set(json.loads(_INSTALLED.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return set()


def _install(missing: list[str], installed: set[str], say: Callable[[str], None]) -> dict[str, str]:
    if not installed:
        say(f"making {_FOLDER}")
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(_FOLDER.absolute())])
    reasons = {}
    for requirement in missing:
        say(f"installing {requirement}")
        if reason := _run([*_pip(), "install", "--quiet", "--constraint", str(_CONSTRAINTS), requirement]):
            say(f"{requirement} cannot be had: {reason}")
            reasons[requirement] = reason
    return reasons


def _pip() -> list[str]:
    """Return a pip that works on the environment; ours may have none of its own."""
    own = sys.executable if util.find_spec("pip") else shutil.which("python3") or "python3"
    return [own, "-m", "pip", "--python", str(python()), "--disable-pip-version-check"]


def _run(command: list[str]) -> str:
    """Return an empty text when a command succeeds, and else the last line of what it said.

    It ends with us, its children too, and what it leaves behind in temporary folders is removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        process = ServerProcess(
            command, log=log, cwd=Path(folder), environment={**os.environ, "TMPDIR": folder}
        )
        try:
            while process.running:
                time.sleep(0.05)
        finally:
            process.kill()
        said = log.read_text(encoding="utf-8").strip().splitlines()
    if process.ending == "exit code 0":
        return ""
    return said[-1].removeprefix("ERROR: ") if said else process.ending
