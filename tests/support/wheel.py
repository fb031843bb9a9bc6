"""The package as users get it: its wheel, in an environment without the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from tests.support.command import environment

ROOT = Path(__file__).parents[2]
_COMMAND = """\
#!{python}
import sys
from importlib.metadata import distribution
[command] = distribution("outbox-notify").entry_points.select(group="console_scripts")
sys.argv[0] = command.name
sys.exit(command.load()())
"""


def build(folder: Path) -> Path:
    """Build the wheel into a folder and return it."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def fresh_environment(folder: Path) -> None:
    """Make an environment that finds the dependencies where the tests do, and not the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    # A path that is added this way does not pull in the checkout: its own .pth files are not read.
    (_packages(folder) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def install(wheel: Path, folder: Path) -> None:
    """Install the wheel into an environment: pip does no more for a pure one, and needs no network for this."""
    zipfile.ZipFile(wheel).extractall(_packages(folder))
    command = folder / "bin" / "outbox-notify"
    command.write_text(_COMMAND.format(python=folder / "bin" / "python"))
    command.chmod(0o755)


def _packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        fresh_environment(Path(sys.argv[2]))
    else:
        install(Path(sys.argv[2]), Path(sys.argv[3]))
