"""What a check says, and how checks are kept together: adding one is writing one function."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Facts = TypeVar("Facts")


class Level(StrEnum):
    """How a check came out, the worst last.

    `fail`: the relay cannot do its work, or a promise does not hold. `warn`: it works, and that costs something or
    will. Programs read these words.
    """

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Verdict(NamedTuple):
    """What a check returns.

    Args:
        text: what was found, in words.
        mend: the command, SQL or setting that mends it.
    """

    level: Level
    text: str
    mend: str | None = None


def ok(text: str) -> Verdict:
    """Return that all is well."""
    return Verdict(Level.OK, text)


def warn(text: str, mend: str) -> Verdict:
    """Return what works and costs something, with what mends it."""
    return Verdict(Level.WARN, text, mend)


def fail(text: str, mend: str) -> Verdict:
    """Return what does not work, with what mends it."""
    return Verdict(Level.FAIL, text, mend)


@dataclass(frozen=True)
class Finding:
    """One row of `doctor`.

    Args:
        check: subject and name, such as `stream.replicas`; the subject alone when it could not be looked at.
    """

    check: str
    level: Level
    text: str
    mend: str | None


@dataclass(frozen=True)
class Subject(Generic[Facts]):
    """The checks of one subject, in the order in which they are shown.

    Args:
        name: first part of the names of its checks; the second is the function's.
        mend: what to try when the subject cannot be looked at.
    """

    name: str
    mend: str
    checks: dict[str, Callable[[Facts], Verdict | None]] = field(default_factory=dict)

    def check(self, function: Callable[[Facts], Verdict | None]) -> Callable[[Facts], Verdict | None]:
        """Add a check: from facts, without I/O, to a verdict; None when it does not apply."""
        self.checks[f"{self.name}.{function.__name__}"] = function
        return function

    def judged(self, facts: Facts) -> Iterator[Finding]:
        """Yield what each check says about the facts."""
        for name, check in self.checks.items():
            if (verdict := check(facts)) is not None:
                yield Finding(name, *verdict)

    def examined(self, look: Callable[[], Facts]) -> Iterator[Finding]:
        """Gather the facts and judge them; not being able to is a finding too."""
        try:
            facts = look()
        except OutboxError as error:
            yield Finding(self.name, Level.FAIL, str(error), self.mend)
        else:
            yield from self.judged(facts)
