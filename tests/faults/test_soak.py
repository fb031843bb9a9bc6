"""Random faults on everything at once: what `make soak` does, for a short while."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.soak.run import Options, soak
from tests.support.command import ENDED_BY_CTRL_C, environment
from tests.support.processes import assert_gone, descendants_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.fault

SECONDS = 20
# In so short a time not every seed has its turn at every kind of fault; this one has.
SEED = 4


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_whatever_dies_all_is_delivered_once_and_in_order(account: Callable[..., None]) -> None:
    found = soak(Options(SECONDS, SEED))
    account(found.verdict, reclaims=found.reclaims, fenced=found.fenced, recover_s=found.recover_s, seed=SEED)
    assert found.all_well, "\n".join(found.as_table())
    assert found.reclaims >= 1
    assert all(bites.times for bites in found.bites.values())
    assert sum(bites.felt for bites in found.bites.values()) >= len(found.bites) / 2


@pytest.mark.slow
def test_soak_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    with progress.open("wb") as sink:
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.soak", "--seconds", "60", "--seed", "3"],
            env=environment(TMPDIR=str(tmp_path)),
            stderr=sink,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        wait_for(lambda: " begins" in progress.read_text(), 60, "a fault")
        family = descendants_of(running.pid)
        assert len(family) >= 5
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode in ENDED_BY_CTRL_C
    assert output == ""
    assert progress.read_text().endswith("stopped; seed 3\n")
    assert_gone(family)
    assert list(tmp_path.iterdir()) == [progress]
