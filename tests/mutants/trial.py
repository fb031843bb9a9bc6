"""Tests in a copy of the checkout, with a bug or without."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from tests.mutants.bug import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.mutants.bug import Bug

_FILES = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
_FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
_PYTEST = ("-q", "-rf", "--tb=short", "--no-header", "-p", "no:cacheprovider")
_TESTS_FAILED = 1
_TO_TIDY_UP = 20


@dataclass(frozen=True)
class Trial:
    """How tests went.

    Args:
        exit_code: of pytest: 0 when all passed.
        failed: the tests that failed.
        seconds: that it took.
        output: of pytest.
    """

    exit_code: int
    failed: list[str]
    seconds: float
    output: str

    @property
    def caught_by(self) -> str | None:
        """The test that failed; None when none did, whatever else went wrong."""
        return self.failed[0] if self.exit_code == _TESTS_FAILED and self.failed else None


@contextmanager
def copied_checkout() -> Iterator[Path]:
    """Hold a copy of the files of the checkout as they are now."""
    listed = subprocess.run(_FILES, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with TemporaryDirectory(prefix="outbox-mutant-") as folder:
        copy = Path(folder) / "checkout"
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        yield copy


async def try_with(bug: Bug) -> Trial:
    """Run the tests of a bug in a copy that has it, up to the first that fails.

    Raises:
        CodeMovedOn: the bug does not fit the code any more.
    """
    with copied_checkout() as copy:
        bug.plant(copy)
        return await _tried(copy, [bug.caught_by], "--exitfirst")


async def try_without(bugs: Iterable[Bug]) -> Trial:
    """Run the tests of all bugs in a copy that has none."""
    with copied_checkout() as copy:
        return await _tried(copy, list(dict.fromkeys(bug.caught_by for bug in bugs)))


async def _tried(copy: Path, tests: Iterable[str], *options: str) -> Trial:
    began, output = time.monotonic(), copy.parent / "output"
    with output.open("wb") as sink:
        command = [
            sys.executable,
            "-m",
            "pytest",
            *_PYTEST,
            *options,
            f"--basetemp={copy.parent / 'tmp'}",
            *tests,
        ]
        process = await anyio.open_process(
            command, cwd=copy, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=_environment(copy),
            start_new_session=True,
        )  # fmt: skip
        exit_code = await _ended(process)
    text = output.read_text(encoding="utf-8", errors="replace")
    return Trial(exit_code, _FAILED.findall(text), time.monotonic() - began, text)


def _environment(copy: Path) -> dict[str, str]:
    """Have everything import the package from the copy, also what runs in other folders."""
    return {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


async def _ended(process: anyio.abc.Process) -> int:
    """Wait for pytest; interrupted, let it tidy up first: it has servers to stop."""
    try:
        return await process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        with anyio.move_on_after(_TO_TIDY_UP, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()
        raise
