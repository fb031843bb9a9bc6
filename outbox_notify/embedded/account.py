"""Who the servers run as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outbox_notify.embedded.errors import EmbeddedServerError


@dataclass(frozen=True)
class Account:
    """An ordinary user that root lends to a server."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Return what `subprocess` needs to start a process as this user, without root's groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may(self, test: str, path: Path) -> bool:
        """Return whether the user passes `test` (r, w or x, as in test(1)) on a path, parents included."""
        command = ["test", f"-{test}", str(path)]
        return subprocess.run(command, cwd="/", check=False, **self.popen_arguments()).returncode == 0  # noqa: S603  # ours


def unprivileged_account() -> Account | None:
    """Return `postgres` or else `nobody` when we are root, and None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as"
    )


def working_folder(name: str, account: Account | None) -> Path:
    """Make a private folder that the account owns and can reach; the caller removes it.

    Raises:
        EmbeddedServerError: no temporary directory is open to that account.
    """
    if account is None:
        return _private_folder(name, Path(tempfile.gettempdir()))
    for parent in dict.fromkeys(map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp"))):  # noqa: S108  # mkdtemp
        folder = _private_folder(name, parent)
        os.chown(folder, account.uid, account.gid)
        if account.may("w", folder):
            return folder
        folder.rmdir()
    raise EmbeddedServerError(f"the user {account.name} can't reach a temporary directory; set TMPDIR to one")


def _private_folder(name: str, parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"outbox-notify-{name}-", dir=parent))
