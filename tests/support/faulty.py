"""The command with a fault built in: it dies, freezes or stumbles at a named point. Only tests start it.

`python -m tests.support.faulty FAULT relay ...`. The parts are wrapped from outside, where they are put together: the
package knows nothing of it. When the fault strikes it writes the record `fault`, so a test knows that it did.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Where a fault can strike, in the order in which an event comes by.
POINTS = ("after_claim", "while_framing", "before_write", "after_publish", "before_settle", "after_settle")


@dataclass
class Fault:
    """One fault of a process.

    Args:
        point: one of `POINTS`; empty for none.
        deed: `kill`, `freeze` (until SIGCONT), `block` (the event loop, for some seconds) or `raise`.
        nth: at which passage of the point.
        seconds: how long to block.
        clock: seconds that the wall clock of the process goes before that of the machine.
    """

    point: str = ""
    deed: str = "kill"
    nth: int = 1
    seconds: float = 0.0
    clock: float = 0.0

    @property
    def command(self) -> list[str]:
        """What to start instead of the command."""
        return [sys.executable, "-m", "tests.support.faulty", json.dumps(asdict(self))]


class Saboteur:
    """Wraps the parts of the relay.

    Args:
        fault: what is to happen, once.
    """

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._passed = 0

    def lay(self) -> None:
        """Wrap the parts, in this process."""
        from outbox_notify.jetstream import fast_ingest, one_by_one  # noqa: PLC0415  # not before the clock is set
        from outbox_notify.jetstream.messages import Encoder  # noqa: PLC0415
        from outbox_notify.postgres.storage import Storage  # noqa: PLC0415

        self._around(Storage, "claim", after="after_claim", when=lambda claim: claim.token is not None)
        self._around(Storage, "settle", before="before_settle", after="after_settle")
        for sender in (one_by_one, fast_ingest):
            self._around(sender, "write_frames", before="before_write", after="after_publish")
        encode = Encoder.encode

        def encoding(*arguments: Any) -> Any:
            message = encode(*arguments)
            self._pass("while_framing")
            return message

        Encoder.encode = encoding  # type: ignore[method-assign, assignment]  # that is what it is for

    def _around(
        self,
        owner: Any,
        name: str,
        *,
        before: str = "",
        after: str = "",
        when: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        original: Callable[..., Awaitable[Any]] = getattr(owner, name)

        @wraps(original)
        async def wrapped(*arguments: Any) -> Any:
            self._pass(before)
            result = await original(*arguments)
            if when(result):
                self._pass(after)
            return result

        setattr(owner, name, wrapped)

    def _pass(self, point: str) -> None:
        if not point or point != self._fault.point:
            return
        self._passed += 1
        if self._passed == self._fault.nth:
            os.write(2, json.dumps({"event": "fault", **asdict(self._fault)}).encode() + b"\n")
            self._strike()

    def _strike(self) -> None:
        match self._fault.deed:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "freeze":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "block":
                time.sleep(self._fault.seconds)
            case deed:
                raise RuntimeError(deed)


def set_clock(ahead: float) -> None:
    """Let the wall clock of this process go before that of the machine; call it before anything is imported."""
    import datetime as dt  # noqa: PLC0415  # replaced before others take from it

    true_time, true_time_ns = time.time, time.time_ns

    class Shifted(dt.datetime):
        """The time of day of a host whose clock is wrong."""

        # As large as the original, which C code looks at.
        __slots__ = ()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            """Return what the wrong clock says."""
            return super().now(tz) + dt.timedelta(seconds=ahead)

    time.time = lambda: true_time() + ahead
    time.time_ns = lambda: true_time_ns() + int(ahead * 1e9)
    dt.datetime = Shifted  # type: ignore[misc]  # a stand-in for the clock


def main() -> None:
    """Run the command with the fault that the first argument describes."""
    fault = Fault(**json.loads(sys.argv.pop(1)))
    if fault.clock:
        set_clock(fault.clock)
    Saboteur(fault).lay()
    from outbox_notify.cli import main as command  # noqa: PLC0415  # not before the clock is set

    command()


if __name__ == "__main__":
    main()
