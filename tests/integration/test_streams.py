"""The stream that takes the events: made when there is none, never touched when there is one."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.embedded import EmbeddedNats, ServerProcess
from outbox_notify.embedded.binaries import nats_server_program
from outbox_notify.embedded.server import free_port
from outbox_notify.errors import NatsUnreachable, NotPermitted, OutboxError
from outbox_notify.jetstream.client import close_nats, connect_nats
from outbox_notify.jetstream.streams import ensure_stream
from tests.support.publishing import publishing, ticket
from tests.support.stream import connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

USER = """
authorization { users = [{ user: relay, password: one-two, permissions: { publish: { deny: ["%s"] } } }] }
"""
LOGIN = {"nats_user": "relay", "nats_password": "one-two"}


async def ensured(url: str, prefix: str = "events", **settings: Any) -> set[str]:
    """Connect as the relay does, and return the streams that take its subjects."""
    client = await connect_nats(Settings(nats_url=url, **settings), _ignore, _closed)
    try:
        return await ensure_stream(client, "OUTBOX", prefix)
    finally:
        await close_nats(client)


async def refused(server: EmbeddedNats) -> OutboxError:
    with pytest.raises(OutboxError) as error:
        await ensured(server.url, **LOGIN)
    return error.value


async def _ignore(_error: Exception) -> None:
    """Hear of what the server refuses, and leave it to who is tested."""


async def _closed() -> None:
    """Hear that the connection has ended."""


async def create(url: str, name: str, *subjects: str, **config: Any) -> None:
    async with connected(url) as client:
        await client.jetstream().add_stream(name=name, subjects=list(subjects), **config)


async def config_of(url: str, name: str) -> dict[str, Any]:
    async with connected(url) as client:
        answer = await client.jetstream()._api_request(f"$JS.API.STREAM.INFO.{name}", timeout=5)
        return dict(answer["config"])


@contextmanager
def server_without_jetstream(folder: Path) -> Iterator[str]:
    """Run a nats-server as one gets it without `-js`."""
    port, log = free_port(), folder / "server.log"
    command = [str(nats_server_program()), "--addr", "127.0.0.1", "--port", str(port)]
    process = ServerProcess(command, log=log, cwd=folder)
    try:
        process.wait_until(lambda: "Server is ready" in log.read_text(), timeout=20)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.stop(signal.SIGTERM, timeout=10)


async def test_stream_is_created_for_events_that_must_last(nats_server: EmbeddedNats) -> None:
    assert await ensured(nats_server.url) == {"OUTBOX"}
    config = await config_of(nats_server.url, "OUTBOX")
    wanted = {
        "subjects": ["events.>"], "storage": "file", "retention": "limits", "duplicate_window": 600 * 10**9,
        "allow_atomic": True, "allow_batched": True, "allow_direct": True, "max_msgs": -1, "max_bytes": -1,
        "max_age": 0,
    }  # fmt: skip
    assert {name: config[name] for name in wanted} == wanted
    assert not config.get("no_ack")


async def test_stream_takes_the_prefix_that_is_set(nats_server: EmbeddedNats) -> None:
    assert await ensured(nats_server.url, "shop.events") == {"OUTBOX"}
    assert (await config_of(nats_server.url, "OUTBOX"))["subjects"] == ["shop.events.>"]


async def test_existing_stream_is_found_and_never_changed(nats_server: EmbeddedNats) -> None:
    await create(nats_server.url, "THEIRS", "events.>", storage="memory", max_msgs=7, duplicate_window=1)
    before = await config_of(nats_server.url, "THEIRS")
    assert await ensured(nats_server.url) == {"THEIRS"}
    assert await config_of(nats_server.url, "THEIRS") == before


async def test_stream_of_our_name_with_a_narrower_set_of_subjects_is_left_alone(
    nats_server: EmbeddedNats,
) -> None:
    await create(nats_server.url, "OUTBOX", "events.acme.>")
    before = await config_of(nats_server.url, "OUTBOX")
    assert await ensured(nats_server.url) == {"OUTBOX"}
    assert await config_of(nats_server.url, "OUTBOX") == before


async def test_all_streams_that_share_our_subjects_are_ours(nats_server: EmbeddedNats) -> None:
    for tenant in ("acme", "bolt"):
        await create(nats_server.url, tenant.upper(), f"events.{tenant}.>")
    await create(nats_server.url, "WIDE", "events.crane.>", "returns.>")
    await create(nats_server.url, "OTHER", "orders.>")
    assert await ensured(nats_server.url) == {"ACME", "BOLT", "WIDE"}


async def test_acks_of_every_stream_that_shares_our_subjects_count(nats_server: EmbeddedNats) -> None:
    for tenant in ("acme", "bolt"):
        await create(nats_server.url, tenant.upper(), f"events.{tenant}.>")
    async with publishing(nats_server.url) as desk:
        await desk.ready()
        outcomes = await desk.publish(ticket(tenant_id="acme"), ticket(tenant_id="bolt"))
    assert [getattr(outcome, "stream", outcome) for outcome in outcomes] == ["ACME", "BOLT"]


async def test_server_without_jetstream_is_told_so(tmp_path: Path) -> None:
    with (
        server_without_jetstream(tmp_path) as url,
        pytest.raises(NatsUnreachable, match="nats-server with -js"),
    ):
        await ensured(url)


async def test_account_without_jetstream_is_told_so() -> None:
    account = "accounts { SHOP: { users: [{ user: relay, password: one-two }] } }"
    with EmbeddedNats(config=account) as server:
        error = await refused(server)
    assert isinstance(error, NatsUnreachable)
    assert "not enabled for account" in str(error)


@pytest.mark.parametrize(
    "subject", ["$JS.API.STREAM.CREATE.OUTBOX", pytest.param("$JS.API.STREAM.NAMES", marks=pytest.mark.slow)]
)
async def test_right_that_is_missing_is_named(subject: str) -> None:
    with EmbeddedNats(config=USER % subject) as server:
        error = await refused(server)
    assert isinstance(error, NotPermitted)
    assert subject.lower() in str(error)


async def test_stream_that_exists_needs_no_right_to_create_one() -> None:
    allowed = USER % "$JS.API.STREAM.CREATE.OUTBOX"
    with EmbeddedNats() as server:
        await create(server.url, "THEIRS", "events.>")
        server.reload(allowed)
        await _until_login_is_asked_for(server.url)
        assert await ensured(server.url, **LOGIN) == {"THEIRS"}


async def _until_login_is_asked_for(url: str) -> None:
    while True:
        try:
            await ensured(url)
        except NatsUnreachable:
            return
