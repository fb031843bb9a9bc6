"""The NATS server: whether it has JetStream, lets us publish, and takes the largest event that waits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from outbox_notify.jetstream.inspection import inspect
from outbox_notify.operations.doctor.findings import Subject, Verdict, fail, ok, warn
from outbox_notify.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.inspection import NatsFacts
    from outbox_notify.operations.doctor.events import Events

_NAME = "outbox-notify-doctor"
# Named so that whoever hears the probe knows where it comes from.
_PROBE = "outbox-notify.doctor"
_PROBED_TENANTS = 20
_OLDEST, _STALE = (2, 9), (2, 10)
_NEARLY = 0.9

NATS: Subject[Messaging] = Subject(
    "nats", "outbox-notify config show; then correct OUTBOX_NATS_URL, or start nats-server -js"
)


@dataclass(frozen=True)
class Messaging:
    """NATS, and what is asked of it."""

    found: NatsFacts
    settings: Settings
    events: Events


def look(settings: Settings, events: Events) -> Messaging:
    """Ask NATS what it is, and whether we may publish.

    Raises:
        OutboxError: it does not answer, or refuses the connection.
    """
    probes = _probes(settings.subject_prefix, events)
    found = anyio.run(partial(inspect, replace(settings, relay_id=_NAME), probes))
    return Messaging(found, settings, events)


def _probes(prefix: str, events: Events) -> Sequence[str]:
    """Return a subject for each tenant, since rights may be given by tenant."""
    tenants = events.tenants[:_PROBED_TENANTS]
    return [subject_of(prefix, tenant, _PROBE) for tenant in tenants] or [f"{prefix}.{_PROBE}"]


@NATS.check
def version(nats: Messaging) -> Verdict:
    """Look at the version of the server."""
    server = nats.found.server
    text = f"NATS {server.version} at {server.address}"
    if server.major_minor < _STALE:
        judge = fail if server.major_minor < _OLDEST else warn
        return judge(f"{text}: it is not maintained any more", "upgrade nats-server to 2.12 or newer")
    return ok(text)


@NATS.check
def addresses(nats: Messaging) -> Verdict:
    """Look whether the settings name all servers of the cluster."""
    named, known = len(nats.settings.nats_url.split(",")), nats.found.server.known
    if named < known:
        return warn(
            f"the cluster has {known} servers and OUTBOX_NATS_URL names {named}: when that is away, so is NATS",
            "OUTBOX_NATS_URL=nats://a:4222,nats://b:4222,nats://c:4222",
        )
    return ok(f"servers named: {named}")


@NATS.check
def encryption(nats: Messaging) -> Verdict:
    """Look whether others can read what goes over the network."""
    server = nats.found.server
    if not server.encrypted and not server.local:
        return warn("the connection is not encrypted", "OUTBOX_NATS_URL=tls://..., and OUTBOX_NATS_TLS_CA")
    return ok("encrypted" if server.encrypted else "on this host")


@NATS.check
def jetstream(nats: Messaging) -> Verdict:
    """Look whether JetStream tells us which streams take our subjects; a relay asks the same at its start."""
    if objection := nats.found.jetstream:
        return fail(
            f"JetStream does not name the streams of our subjects: {objection}",
            "start nats-server with -js, and let this user publish to $JS.API.STREAM.NAMES and subscribe to _INBOX.>",
        )
    return ok("JetStream answers")


@NATS.check
def publish(nats: Messaging) -> Verdict:
    """Look whether we may publish, by messages that no stream stores."""
    refused = [f"{subject}: {why}" for subject, why in nats.found.publish.items() if why]
    if refused:
        return fail(
            f"events do not get through: {'; '.join(refused)}",
            f'let this user publish to "{nats.settings.subject_prefix}.>" and subscribe to "_INBOX.>"',
        )
    return ok(f"may be published: {', '.join(nats.found.publish)}")


@NATS.check
def max_payload(nats: Messaging) -> Verdict:
    """Compare the largest event that waits with what the server takes."""
    limit, largest = nats.found.server.max_payload, nats.events.largest
    if largest and largest.message > limit * _NEARLY:
        judge = fail if largest.message > limit else warn
        return judge(
            f"event {largest.id} has about {largest.message:,} bytes with its headers; the server takes {limit:,}",
            f"max_payload: {max(largest.message * 2, 2**20)} in nats-server.conf, 8 MB at most; or a smaller body",
        )
    waits = f"the largest event that waits has about {largest.message:,}" if largest else "nothing waits"
    return ok(f"the server takes {limit:,} bytes; {waits}")


@NATS.check
def storage(nats: Messaging) -> Verdict | None:
    """Look how much of its storage the account has used."""
    account = nats.found.account
    if account is None or account.max_storage <= 0:
        return None
    text = f"{account.storage:,} of {account.max_storage:,} bytes of the account's storage are used"
    if account.storage > account.max_storage * _NEARLY:
        return warn(text, "raise the account's limit of JetStream storage, or let streams keep less")
    return ok(text)
