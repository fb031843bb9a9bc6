"""What `make dist` builds, used as its users would: from the wheel, without the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.command import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment that holds the wheel, and finds the dependencies where the tests do."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # pip does no more for a pure wheel, and needs no network for this.
    zipfile.ZipFile(wheel).extractall(packages)
    # A path that is added this way does not pull in the checkout: its own .pth files are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the entry point that the wheel's metadata names."""
    code = (
        "import sys; from importlib.metadata import distribution; "
        "[command] = distribution('outbox-notify').entry_points.select(group='console_scripts'); "
        "sys.argv[0] = command.name; sys.exit(command.load()())"
    )
    return subprocess.run(
        [str(python), "-c", code, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_of_the_wheel_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [str(installed), "-c", "import outbox_notify; print(outbox_notify.__file__)"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed.parents[1])
    done = _run(installed, "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("outbox-notify ")


def test_the_wheel_brings_the_migrations(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "migrate", "sql", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE event_outbox" in done.stdout


def test_the_whole_way_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "demo", "--events", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10 events: 10 delivered")
