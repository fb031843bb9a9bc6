"""What became of a delivery, and the word that tells JetStream. No I/O."""

from __future__ import annotations

import json
import sysconfig
import traceback
from dataclasses import dataclass

_NANOSECONDS = 1_000_000_000
# Where Python and what pip installs are.
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})

IN_PROGRESS = b"+WPI"


@dataclass(frozen=True)
class Done:
    """The handler has returned."""

    word = b"+ACK"


@dataclass(frozen=True)
class Rejected:
    """It is not tried again."""

    reason: str
    word = b"+TERM"


@dataclass(frozen=True)
class GivenBack:
    """It was not tried, or not to the end: whoever asks next gets it."""

    word = b"-NAK"


@dataclass(frozen=True)
class Failed:
    """The handler raised an error: it is tried again.

    Args:
        error: type of the error; its text may quote the event.
        where: file and line of the service that led to it.
        delay: seconds until then.
    """

    error: str
    where: str
    delay: float

    @property
    def word(self) -> bytes:
        """A nak that says when to deliver it again."""
        return b"-NAK " + json.dumps({"delay": int(self.delay * _NANOSECONDS)}).encode()


Outcome = Done | Rejected | GivenBack | Failed


@dataclass(frozen=True)
class Patience:
    """How failures of the handler are taken.

    Args:
        first: seconds before the second attempt; doubles with each one.
        longest: seconds before any.
        attempts: failures after which a message is given up; None for never.
    """

    first: float
    longest: float
    attempts: int | None

    def judge(self, error: Exception, deliveries: int) -> Failed | Rejected:
        """Return what becomes of a message whose handler raised an error, at its so many-th delivery."""
        if self.attempts is not None and deliveries >= self.attempts:
            return Rejected(
                f"delivered {deliveries} times, the last time it failed with {type(error).__qualname__}"
            )
        return self.again(error, deliveries)

    def again(self, error: Exception, deliveries: int) -> Failed:
        """Return when to try once more, however often that has been done."""
        delay = min(self.longest, self.first * 2.0 ** min(deliveries - 1, 60))
        return Failed(type(error).__qualname__, _where(error), delay)


def _where(error: Exception) -> str:
    """Return the innermost line of the service's own code: what a library does with it says little."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)] or frames[-1:]
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""
