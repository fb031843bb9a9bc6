"""`python -m benchmarks`: that it measures, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ENDED_BY_CTRL_C, CommandProcess, environment
from tests.support.processes import assert_gone, descendants_of

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks", "--quick", "--runs", "1"]


@pytest.mark.slow
def test_a_quick_run_measures_the_relay_and_the_bare_loop(tmp_path: Path) -> None:
    folder, file = tmp_path / "servers", tmp_path / "out.json"
    folder.mkdir(mode=0o755)
    done = subprocess.run(
        [*COMMAND, "--only", "drain", "--json", str(file)],
        cwd=ROOT,
        env=environment(TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    figures = {figure["what"]: figure for figure in document["cases"]["drain"]["figures"]}
    # How fast it is says nothing here: the machine is busy with other tests.
    assert figures["drain, bare loop"]["median"] > 0
    assert figures["drain, keyed / bare loop"]["target"] == "≥ 0.65"
    assert all(f"| {what} " in done.stdout for what in figures)
    assert document["machine"]["postgres"].startswith("18")
    assert list(folder.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "output"
    folder = tmp_path / "servers"
    folder.mkdir(mode=0o755)
    settings = {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    with CommandProcess("--only", "idle", output=output, settings=settings, command=COMMAND) as benchmark:
        benchmark.wait_for("idle: run 1 of 1")
        started = descendants_of(benchmark.pid)
        assert len(started) > 2
        benchmark.send(signal.SIGINT)
        assert benchmark.wait() in ENDED_BY_CTRL_C
    assert_gone(started)
    assert list(folder.iterdir()) == []


def test_an_unknown_case_is_refused_before_anything_starts() -> None:
    done = subprocess.run(
        [*COMMAND, "--only", "drain,nothing"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such case: nothing" in done.stderr
