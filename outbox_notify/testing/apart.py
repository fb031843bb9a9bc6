"""Asynchronous work for synchronous callers, also for those that an event loop runs."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def run_apart(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run it to its end in a thread and an event loop of its own, and return what it returns."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(anyio.run(function, *arguments))
        except BaseException as error:  # noqa: BLE001  # it is raised where somebody waits for it
            outcome.set_exception(error)

    # A daemon: who interrupts the wait need not wait for the work.
    threading.Thread(target=run, name=function.__name__, daemon=True).start()
    return outcome.result()
