"""Whether there are streams for all subjects, and whether we may look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbox_notify.jetstream.stream_facts import StreamFacts
    from outbox_notify.operations.doctor.nats import Messaging

_SHOWN = 5

COVERAGE: Subject[Messaging] = Subject("streams", "nats stream ls")


@COVERAGE.check
def exists(nats: Messaging) -> Verdict:
    """Look whether a stream takes our subjects, or one can be made."""
    name, prefix = nats.settings.stream, nats.settings.subject_prefix
    edit = f"nats stream edit {name} --subjects '{prefix}.>'"
    if nats.found.covering:
        return ok(f"of {prefix}.>: {', '.join(nats.found.covering)}")
    if (stands := _named(nats, name)) is None:
        return warn(
            f"none takes {prefix}.>: a relay makes {name} when it starts", "outbox-notify relay --drain"
        )
    if stands.says("mirror"):
        return fail(
            f"none takes {prefix}.>, and {name} is a mirror", "OUTBOX_STREAM=the name of a new stream"
        )
    return fail(f"none takes {prefix}.>, and {name} stands for {', '.join(stands.subjects)} already", edit)


@COVERAGE.check
def subjects(nats: Messaging) -> Verdict | None:
    """Look for subjects that no stream takes."""
    prefix = nats.settings.subject_prefix
    patterns = [pattern for stream in nats.found.taking for pattern in stream.subjects]
    if not patterns or len(nats.found.taking) < len(nats.found.covering):
        return None
    if missed := _missed(patterns, nats.events.subjects(prefix)):
        more = [f"and {len(missed) - _SHOWN} more"] * (len(missed) > _SHOWN)
        return fail(f"no stream takes {', '.join([*missed[:_SHOWN], *more])}", _widened(nats))
    if _missed(patterns, [f"{prefix}.>"]):
        return warn(
            f"not all of {prefix}.> is taken: {', '.join(patterns)}; new tenants and types may not be",
            _widened(nats),
        )
    return ok(f"{prefix}.> is taken")


@COVERAGE.check
def seen(nats: Messaging) -> Verdict | None:
    """Look whether we may look at the streams."""
    hidden = {name: why for name, why in nats.found.hidden.items() if name in nats.found.covering}
    if not hidden:
        return None
    return warn(
        f"not looked at: {'; '.join(f'{name}: {why}' for name, why in hidden.items())}; a relay that may not look"
        " does not learn that a stream takes batches, and waits for an ack of each event",
        "let this user publish to " + ", ".join(f"$JS.API.STREAM.INFO.{name}" for name in hidden),
    )


def _named(nats: Messaging, name: str) -> StreamFacts | None:
    return next((stream for stream in nats.found.streams if stream.name == name), None)


def _widened(nats: Messaging) -> str:
    return f"nats stream edit {nats.found.covering[0]} --subjects '{nats.settings.subject_prefix}.>'"


def _missed(patterns: Iterable[str], subjects: Iterable[str]) -> list[str]:
    return [subject for subject in subjects if not any(takes(pattern, subject) for pattern in patterns)]


def takes(pattern: str, subject: str) -> bool:
    """Return whether a pattern of a stream takes a subject, or all that a pattern which ends with `>` stands for."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(tokens) > place
        if place >= len(tokens) or tokens[place] == ">" or part not in {"*", tokens[place]}:
            return False
    return len(tokens) == len(wanted)
