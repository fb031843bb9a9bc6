"""The private folder of a server, and the folders that killed predecessors left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from outbox_notify.embedded.errors import EmbeddedServerError

if TYPE_CHECKING:
    from outbox_notify.embedded.account import Account

_PREFIX = "outbox-notify-"
_OWNED = "owned"


class Folder:
    """A folder that the account owns and can reach; removed by `remove`, or by the next one after a crash.

    Args:
        name: part of the folder's name.
        account: whom it is for; None for the current user.

    Raises:
        EmbeddedServerError: no temporary directory is open to that account.
    """

    def __init__(self, name: str, account: Account | None) -> None:
        self.path = _make(name, account)
        # Locked before it has its name and until this process ends, so that nobody takes it for abandoned.
        unnamed = self.path / "owned.new"
        self._lock = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _OWNED)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_abandoned(parent: Path) -> None:
    """Remove our folders in `parent` whose owner has ended without doing so."""
    for lock in parent.glob(f"{_PREFIX}*/{_OWNED}"):
        try:
            if lock.stat().st_uid == os.geteuid() and _is_free(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            continue


def _is_free(lock: Path) -> bool:
    """Return whether no living process holds the lock."""
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _make(name: str, account: Account | None) -> Path:
    candidates = dict.fromkeys(map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")))  # noqa: S108  # mkdtemp
    for parent in candidates:
        remove_abandoned(parent)
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{name}-", dir=parent))
        if account is None:
            return path
        os.chown(path, account.uid, account.gid)
        if account.may("w", path):
            return path
        path.rmdir()
    raise EmbeddedServerError("PostgreSQL's user can't reach a temporary directory; set TMPDIR to one")
