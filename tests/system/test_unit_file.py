"""The systemd unit, judged by systemd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import COMMAND, environment
from tests.support.outbox import fill, outbox_table

if TYPE_CHECKING:
    from outbox_notify.embedded import EmbeddedNats

pytestmark = pytest.mark.system

# As `MemoryDenyWriteExecute=` has it: PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN.
UNDER_MDWE = """
import ctypes, mmap, os, sys
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0, "the kernel is older than 6.3"
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    os.execv(sys.argv[1], sys.argv[1:])
"""
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
    done = analyze("security", "--offline=true", "--threshold=15", str(UNIT))
    assert done.returncode == 0, done.stdout


def test_a_relay_works_where_no_memory_is_both_written_and_run(
    database: str, nats_server: EmbeddedNats
) -> None:
    settings = {"OUTBOX_DATABASE_URL": database, "OUTBOX_NATS_URL": nats_server.url, "OUTBOX_HTTP": "off"}
    with outbox_table(database) as table:
        fill(table.conn, 100)
        command = [sys.executable, "-c", UNDER_MDWE, *COMMAND, "relay", "--drain"]
        done = subprocess.run(
            command, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert table.count() == {"published": 100}
