"""What became of a claimed event. The publisher reports outcomes, the storage writes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """JetStream has stored the event.

    Args:
        stream: the stream that acknowledged it.
        sequence: its place in the stream, above zero; None when it was acknowledged together with others.
        duplicate: whether the stream already held a message with this id; not told when acknowledged together.
    """

    stream: str
    sequence: int | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """The event was refused for a reason that may be its own: an attempt is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """Nobody's fault: the event goes back as it came."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rested:
    """The route's fault: the event goes back as it came, and its route rests.

    Args:
        route: the subject that was refused.
        reason: what the server said.
    """

    route: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The event can never be published as it is.

    Args:
        reason: why, for the operator.
        counted: whether a publish was tried, and so counts as an attempt.
        certain: whether another try would end the same way; not so when only the attempts are used up.
    """

    reason: str
    counted: bool = False
    certain: bool = True


Outcome = Published | Retry | Released | Rested | Failed
