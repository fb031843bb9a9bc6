"""What NATS is set to, and what it lets us do; nothing is changed, and nothing is stored."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from outbox_notify.errors import NatsUnreachable, NotPermitted, OutboxError
from outbox_notify.jetstream.client import close_nats, connect_nats
from outbox_notify.jetstream.questions import Questions, Refused, read_reply
from outbox_notify.jetstream.session import understood
from outbox_notify.jetstream.stream_facts import Account, StreamFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from outbox_notify.config.settings import Settings
    from outbox_notify.jetstream.guarded import GuardedClient

_NAME = "outbox-notify-status"
_STREAM_NOT_FOUND, _OTHER_STREAM_EXPECTED = 10059, 10060
# So that a server which answers nothing more does not cost its patience for each question.
_LONGEST = 30.0


@dataclass(frozen=True)
class Server:
    """The server that took the connection.

    Args:
        known: how many servers its cluster has told of.
        local: whether it is on this host.
        max_payload: bytes of headers and body together.
    """

    version: str
    major_minor: tuple[int, int]
    address: str
    known: int
    local: bool
    encrypted: bool
    max_payload: int


@dataclass
class NatsFacts:
    """What was found.

    Args:
        jetstream: what keeps JetStream from naming the streams of our subjects; None when nothing does.
        covering: their names.
        streams: those of them that we may look at, and the one of the settings.
        hidden: why others may not be looked at, by name.
        publish: what NATS has against a message on a subject; None when nothing.
    """

    server: Server
    jetstream: str | None = None
    covering: Sequence[str] = ()
    streams: list[StreamFacts] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    account: Account | None = None
    publish: dict[str, str | None] = field(default_factory=dict)

    @property
    def taking(self) -> Sequence[StreamFacts]:
        """The streams that take our subjects, as far as we may look at them."""
        return [stream for stream in self.streams if stream.name in self.covering]


def glance(settings: Settings, *, subject: str = ">", within: float = 2.0) -> NatsFacts:
    """Look at the server and at the streams, without a try to publish.

    Args:
        settings: as for `inspect`.
        subject: what the streams are to take, without the prefix; by default any of our subjects.
        within: seconds that it may take.

    Raises:
        OutboxError: it cannot be reached in that time, or does not tell all of it.
    """
    return anyio.run(partial(_glance, replace(settings, relay_id=_NAME), subject, within))


async def _glance(settings: Settings, subject: str, within: float) -> NatsFacts:
    with anyio.move_on_after(within):
        async with _connected(settings) as (questions, facts):
            await _look_at_streams(questions, facts, settings, subject)
            hidden = [why for name, why in facts.hidden.items() if name in facts.covering]
            if objection := next(iter(hidden), facts.jetstream):
                raise NatsUnreachable(objection)
            return facts
    raise NatsUnreachable(f"no answer within {within:g} s")


async def inspect(settings: Settings, probes: Sequence[str]) -> NatsFacts:
    """Look at the server, at the streams of our subjects, and whether we may publish.

    Args:
        settings: servers, credentials, stream and prefix.
        probes: subjects to try, each with a message without a body that no stream stores; who subscribes to them
            without JetStream gets it.

    Raises:
        OutboxError: no server takes the connection, or it ends.
    """
    async with _connected(settings) as (questions, facts):
        await _look_at_streams(questions, facts, settings, ">")
        with suppress(OutboxError):
            facts.account = Account.from_answer(await questions.api("INFO"))
        # At once: each of them may be one that nobody answers.
        objections = await asyncio.gather(*(_objection(questions, probe) for probe in probes))
        facts.publish = dict(zip(probes, objections, strict=True))
        return facts


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[tuple[Questions, NatsFacts]]:
    """Yield what asks the server, and what is known from the connection alone."""
    questions = Questions()
    client = await connect_nats(settings, questions.on_error, questions.on_closed)
    try:
        with understood("NATS does not answer", _LONGEST):
            await questions.begin(client)
            yield questions, NatsFacts(_server(client))
    finally:
        await close_nats(client)


def _server(client: GuardedClient) -> Server:
    version, url = client.connected_server_version, client.connected_url
    address = urlsplit(url.geturl() if url else "")
    return Server(
        version=f"{version.major}.{version.minor}.{version.patch}",
        major_minor=(version.major, version.minor),
        address=f"{address.hostname}:{address.port}",
        known=len({server.netloc.rpartition("@")[2] for server in client.servers}),
        local=_is_local(address.hostname or ""),
        encrypted=client._encrypted,  # noqa: SLF001  # of our own class
        max_payload=client.max_payload,
    )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _look_at_streams(questions: Questions, facts: NatsFacts, settings: Settings, subject: str) -> None:
    try:
        answer = await questions.api("STREAM.NAMES", subject=f"{settings.subject_prefix}.{subject}")
    except (Refused, NotPermitted, NatsUnreachable) as error:
        facts.jetstream = str(error)
        return
    facts.covering = answer.get("streams") or []
    for name in dict.fromkeys([*facts.covering, settings.stream]):
        try:
            facts.streams.append(StreamFacts.from_answer(await questions.api(f"STREAM.INFO.{name}")))
        except OutboxError as error:
            if not (isinstance(error, Refused) and error.code == _STREAM_NOT_FOUND):
                facts.hidden[name] = str(error)


async def _objection(questions: Questions, subject: str) -> str | None:
    """Publish what is refused as meant for another stream; return what else NATS has against it."""
    headers = {"Nats-Expected-Stream": f"none-{secrets.token_hex(8)}", "Outbox-Doctor": "not an event"}
    try:
        read_reply(await questions.ask(subject, headers=headers))
    except Refused as refused:
        # Without an answer no stream takes the subject, which is another matter.
        return None if refused.code in {0, _OTHER_STREAM_EXPECTED} else str(refused)
    except OutboxError as error:
        return str(error)
    return "it was stored, though it was meant for another stream: this is no JetStream that we know"
