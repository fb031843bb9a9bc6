"""Looking at processes from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from outbox_notify.embedded.proc import children_of, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def descendants_of(pid: int) -> set[int]:
    """Return the process ids of all children, their children, and so on."""
    children = children_of(pid)
    return {*children, *(grandchild for child in children for grandchild in descendants_of(child))}


def assert_gone(pids: Iterable[int], timeout: float = 10) -> None:
    """Return once none of the processes is alive; fail when some still are after `timeout` seconds."""
    wait_for(lambda: not any(is_alive(pid) for pid in pids), timeout, "the processes to be gone")


def wait_for(fact: Callable[[], bool], timeout: float, what: str) -> None:
    """Return once the fact holds; fail with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not fact():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.01)
