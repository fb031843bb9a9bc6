"""The examples of docs/how-to/test-your-code.md, run as the suite of somebody else."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from tests.support.command import environment
from tests.support.guides import titled_examples

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = titled_examples("test-your-code")
FAILING = """
from outbox_notify.testing import assert_emitted
from receipts import receive


def test_fails(outbox_connection):
    connection = outbox_connection
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with the files of the guide, and a test that fails as it shows."""
    for name, text in EXAMPLES.items():
        if name.endswith(".py"):
            (tmp_path / name).write_text(text, encoding="utf-8")
    indented = "".join(f"    {line}\n" for line in EXAMPLES["failing"].splitlines())
    (tmp_path / "test_failing.py").write_text(FAILING + indented, encoding="utf-8")
    return tmp_path


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, as its user would."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_suite_of_the_guide_passes_and_fails_as_it_says(suite: Path) -> None:
    done = run_in(suite, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")

    assert "1 failed, 7 passed" in done.stdout, done.stdout
    said = [line.removeprefix("E").strip() for line in done.stdout.splitlines() if line.startswith("E ")]
    assert "\n".join(said).removeprefix("AssertionError: ").split() == EXAMPLES["failure"].split()
    # What fails is a line of the test, not of ours.
    assert "outbox_notify/testing" not in done.stdout


@pytest.mark.slow
def test_the_example_without_pytest_runs(suite: Path) -> None:
    done = run_in(suite, "-W", "error", "without_pytest.py")

    assert (done.stdout, done.stderr) == ("events.acme.goods.received\n", "")


@pytest.mark.slow
def test_each_worker_of_xdist_has_servers_of_its_own(suite: Path) -> None:
    (suite / "test_failing.py").unlink()

    done = run_in(suite, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2")

    assert "7 passed" in done.stdout, done.stdout


def test_the_assertions_need_no_pytest(tmp_path: Path) -> None:
    code = "import sys, outbox_notify.testing; print('pytest' in sys.modules)"

    assert run_in(tmp_path, "-c", code).stdout == "False\n"


def test_the_fixtures_are_only_there_when_named() -> None:
    found = entry_points(group="pytest11")

    assert "timeout" in found.names
    assert [point for point in found if point.value.startswith("outbox_notify")] == []
