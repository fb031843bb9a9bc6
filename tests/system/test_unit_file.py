"""The systemd unit, judged by systemd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

UNIT = Path(__file__).parents[2] / "deploy" / "outbox-notify.service"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    installed = UNIT.read_text(encoding="utf-8").replace("/usr/local/bin/outbox-notify", sys.executable)
    unit.write_text(installed, encoding="utf-8")
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_hardly_exposed() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", str(UNIT))
    assert done.returncode == 0, done.stdout
