"""How a run is stopped: by Ctrl-C, or by SIGTERM as if it were one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_by_signals() -> None:
    """Let both signals raise KeyboardInterrupt, once."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does; what is cleaned up then takes a few seconds, which a second signal must not cut short."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
