"""What `make dist` builds, used as its users would: from the wheel, without the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import wheel
from tests.support.command import environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("fresh")
    wheel.fresh_environment(folder)
    wheel.install(wheel.build(tmp_path_factory.mktemp("dist")), folder)
    return folder


def _run(installed: Path, program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installed / "bin" / program), *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_of_the_wheel_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = _run(
        installed, "python", "-c", "import outbox_notify; print(outbox_notify.__file__)", cwd=tmp_path
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)
    done = _run(installed, "outbox-notify", "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("outbox-notify ")


def test_the_wheel_brings_the_migrations(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "outbox-notify", "migrate", "sql", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE event_outbox" in done.stdout


def test_the_whole_way_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "outbox-notify", "demo", "--events", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 events: 10 delivered")
