"""The stream of the events: whether it takes all of them, keeps them, and knows copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn

if TYPE_CHECKING:
    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.inspection import NatsFacts
    from outbox_notify.jetstream.stream_facts import StreamFacts
    from outbox_notify.operations.doctor.events import Events

_NEARLY = 0.8
_BATCHES = (2, 14)

STREAM: Subject[Kept] = Subject("stream", "nats stream info")


@dataclass(frozen=True)
class Kept:
    """A stream of our subjects, and what is asked of it."""

    stream: StreamFacts
    nats: NatsFacts
    settings: Settings
    events: Events

    def edit(self, options: str) -> str:
        """Return the command of the NATS CLI that changes the stream."""
        return f"nats stream edit {self.stream.name} {options}"


@STREAM.check
def duplicates(kept: Kept) -> Verdict:
    """Compare the duplicate window with the time after which an event may be sent once more."""
    settings, window = kept.settings, kept.stream.duplicate_window
    crash = settings.lease + settings.publish_timeout
    needed = crash + settings.retry_max
    text = f"{kept.stream.name} knows copies for {window:g} s"
    mend = kept.edit(f"--dupe-window {max(needed, 600):.0f}s")
    if window < crash:
        return fail(
            f"{text}: an event of a relay that died is sent again after {crash:g} s, and stored twice", mend
        )
    if window < needed:
        return warn(
            f"{text}: lease, publish timeout and the longest wait of a retry together are {needed:g} s", mend
        )
    return ok(f"{text}, {needed:g} s are needed")


@STREAM.check
def retention(kept: Kept) -> Verdict:
    """Look whether the stream keeps events that nobody has read yet."""
    stream = kept.stream
    if stream.retention == "interest" and not stream.consumers:
        return fail(
            f"{stream.name} keeps only what a consumer waits for, and has none: events are acked and gone",
            f"nats consumer add {stream.name}, or a stream with limits",
        )
    if stream.retention == "interest":
        return warn(
            f"{stream.name} keeps only what one of its {stream.consumers} consumers waits for: who comes later"
            " finds nothing",
            "a stream with --retention limits",
        )
    if stream.retention == "workqueue":
        return warn(
            f"{stream.name} is a work queue: an event is gone with its first ack, and with it, after a restart of the"
            " server, what copies are known by",
            "a stream with --retention limits",
        )
    return ok("limits")


@STREAM.check
def storage(kept: Kept) -> Verdict:
    """Look whether the stream survives a restart of its servers."""
    stream = kept.stream
    if stream.storage == "memory":
        return warn(f"{stream.name} is kept in memory: a restart loses it", "a stream with --storage file")
    if stream.settings.get("persist_mode") == "async":
        return warn(f"{stream.name} acks before it stores (persist_mode async)", "a stream without it")
    if stream.lost_messages:
        return warn(
            f"{stream.name} has lost {stream.lost_messages:,} messages of its files",
            f"nats stream backup {stream.name}; look at the server's log and disk",
        )
    return ok("file")


@STREAM.check
def discard(kept: Kept) -> Verdict:
    """Look what happens when the stream is full."""
    stream = kept.stream
    limited = stream.max_messages > 0 or stream.max_bytes > 0
    if stream.discard == "old" and limited:
        return warn(
            f"{stream.name} drops its oldest messages when it is full, read or not",
            kept.edit("--discard new") + "; then events wait in the outbox instead",
        )
    return ok("nothing is dropped for want of room")


@STREAM.check
def per_subject(kept: Kept) -> Verdict:
    """Look whether the stream keeps all messages of a subject."""
    stream = kept.stream
    if stream.max_per_subject > 0:
        return warn(
            f"{stream.name} keeps the last {stream.max_per_subject:,} messages of each subject, and a subject is all"
            " events of one type of one tenant",
            kept.edit("--max-msgs-per-subject=-1"),
        )
    return ok("all messages of a subject")


@STREAM.check
def room(kept: Kept) -> Verdict:
    """Look how full the stream is."""
    stream = kept.stream
    used = max(
        stream.messages / stream.max_messages if stream.max_messages > 0 else 0.0,
        stream.bytes / stream.max_bytes if stream.max_bytes > 0 else 0.0,
    )
    text = f"{stream.name} holds {stream.messages:,} messages, {stream.bytes:,} bytes"
    if used >= _NEARLY and stream.discard == "new":
        return warn(
            f"{text}: {used:.0%} of what it may; when it is full, events wait in the outbox",
            kept.edit(f"--max-bytes {stream.max_bytes * 2} --max-msgs {stream.max_messages * 2}")
            if stream.max_bytes > 0 and stream.max_messages > 0
            else kept.edit(_twice(stream)),
        )
    return ok(f"{text}: {used:.0%} of what it may" if used else text)


def _twice(stream: StreamFacts) -> str:
    if stream.max_bytes > 0:
        return f"--max-bytes {stream.max_bytes * 2}"
    return f"--max-msgs {stream.max_messages * 2}"


@STREAM.check
def message_size(kept: Kept) -> Verdict:
    """Compare the largest event that waits with what the stream takes."""
    stream, largest = kept.stream, kept.events.largest
    if stream.max_message_size <= 0:
        return ok("no limit of its own")
    if largest and largest.message > stream.max_message_size:
        return fail(
            f"event {largest.id} has about {largest.message:,} bytes with its headers; {stream.name} takes"
            f" {stream.max_message_size:,}",
            kept.edit(f"--max-msg-size {largest.message * 2}"),
        )
    return ok(f"{stream.name} takes {stream.max_message_size:,} bytes")


@STREAM.check
def replicas(kept: Kept) -> Verdict:
    """Look whether the stream survives the loss of a server."""
    stream = kept.stream
    if stream.leader == "":
        return fail(
            f"{stream.name} has no leader: a majority of its servers is away",
            f"nats stream info {stream.name}",
        )
    if stream.replicas == 1:
        return warn(f"{stream.name} has one replica: it is away with its server", kept.edit("--replicas 3"))
    if stream.lagging:
        return warn(
            f"replicas of {stream.name} are away or behind: {', '.join(stream.lagging)}",
            f"nats stream info {stream.name}",
        )
    return ok(f"{stream.replicas} replicas, all current")


@STREAM.check
def batches(kept: Kept) -> Verdict | None:
    """Look whether a relay may publish many events with one ack."""
    name = kept.stream.name
    if kept.nats.server.major_minor < _BATCHES:
        return None
    if len(kept.nats.covering) > 1:
        return warn(
            f"{len(kept.nats.covering)} streams take our subjects: a relay waits for an ack of each event,"
            " which is slower",
            f"one stream over {kept.settings.subject_prefix}.>",
        )
    if not kept.stream.says("allow_batched"):
        # Not every version of the NATS CLI has an option for it.
        return warn(
            f"{name} takes no batches: a relay waits for an ack of each event, which is slower",
            f"nats request '$JS.API.STREAM.UPDATE.{name}' \"$(nats request --raw '$JS.API.STREAM.INFO.{name}' ''"
            " | jq -c '.config + {allow_batched: true}')\"; then restart relays",
        )
    return ok(f"{name} takes batches: many events share one ack")


@STREAM.check
def takes_events(kept: Kept) -> Verdict:
    """Look for settings with which a stream takes no events, or answers none."""
    stream = kept.stream
    if stream.says("no_ack"):
        return fail(f"{stream.name} sends no acks: nothing counts as published", kept.edit("--ack"))
    if stream.says("sealed"):
        return fail(
            f"{stream.name} is sealed, and takes nothing any more", "a new stream: it cannot be undone"
        )
    if stream.says("mirror"):
        return fail(f"{stream.name} is a mirror, and takes nothing", "OUTBOX_STREAM=the name of another")
    if stream.says("allow_msg_counter"):
        return fail(f"{stream.name} counts, and takes no events", "OUTBOX_STREAM=the name of another")
    return ok(f"{stream.name} takes events and acks them")
