"""Secrets and payloads that a test gives away on purpose, and the search for them in what comes out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.support.processes import descendants_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# Not a word that anything else would write, and with characters that a URL and a shell would change.
CANARY = "c4nary-s3cret"


def canary(about: str) -> str:
    """Return a secret that tells where it was put."""
    return f"{CANARY}-{about}: p@ss/w?rd&100%"


def encoded(secret: str) -> str:
    """Return a secret as it stands in a URL."""
    return quote(secret, safe="")


def found_in(text: str | bytes) -> list[str]:
    """Return the surroundings of every canary in a text, as it is, in base64 or in hex; none is what is wanted."""
    data = text.encode() if isinstance(text, str) else text
    forms = [CANARY.encode(), CANARY.encode().hex().encode(), *_in_base64()]
    places = [place for form in forms if (place := data.find(form)) >= 0]
    return [data[max(0, place - 60) : place + 60].decode(errors="replace") for place in places]


def shown_by_kernel(pids: Iterable[int]) -> bytes:
    """Return what everybody can see of processes, their command lines, and what their owner can, the environment."""
    files = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ")]
    return b"\n".join(file.read_bytes() for file in files)


def children_as_shown(pid: int) -> bytes:
    """Return the same of all descendants of a process; fails when it has none."""
    pids = descendants_of(pid)
    assert pids, f"process {pid} has no children"
    return shown_by_kernel(pids)


def _in_base64() -> list[bytes]:
    """Return the canary in base64 at each of three offsets, without the ends that depend on its neighbours."""
    return [base64.b64encode(b" " * offset + CANARY.encode())[4:-4] for offset in range(3)]
