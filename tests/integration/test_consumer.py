"""The consumer against a real JetStream: order, repeats, refusals, leases and stops."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from outbox_notify.consumer import Message, Reject, consume, link
from outbox_notify.embedded import EmbeddedNats
from outbox_notify.errors import ConfigError
from tests.support.consuming import (
    DURABLE,
    STREAM,
    consuming,
    durable_info,
    headers_of,
    publish,
    publish_raw,
    until,
    until_all_answered,
    until_durable,
)
from tests.support.stream import connected, create_stream, jetstream_api, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

QUICK: dict[str, Any] = {"retry_base": 0.05}


@pytest.fixture(scope="module")
def shared_nats() -> Iterator[EmbeddedNats]:
    """A server for those that leave it alone."""
    with EmbeddedNats() as server:
        yield server


@pytest.fixture
def url(shared_nats: EmbeddedNats) -> Iterator[str]:
    """URL of a server with an empty stream."""
    create_stream(shared_nats.url, "events.>")
    yield shared_nats.url
    jetstream_api(shared_nats.url, f"STREAM.DELETE.{STREAM}")


class Seen:
    """A handler that keeps what it gets, and fails where it is told to.

    Args:
        failing: so many times for each number.
        slow: seconds that each message takes.
    """

    def __init__(self, failing: dict[int, int] | None = None, slow: float = 0.0) -> None:
        self.messages: list[Message] = []
        self.handled: list[int] = []
        self._failing = failing or {}
        self._slow = slow

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        await anyio.sleep(self._slow)
        n = message.json()["n"]
        if self._failing.get(n, 0) > 0:
            self._failing[n] -= 1
            raise RuntimeError("the body says {}")
        self.handled.append(n)

    def tries(self, n: int) -> list[int]:
        """Return the numbers of the attempts at one event."""
        return [message.deliveries for message in self.messages if message.json()["n"] == n]


async def test_events_are_handed_over_in_order_and_acked(url: str) -> None:
    seen = Seen()
    await publish(url, "bin-1", "bin-2", None, "bin-1")
    async with consuming(url, seen):
        await until_all_answered(url)
        await publish(url, "bin-1", first=5)
        await until(lambda: len(seen.handled) == 5)
        await until_all_answered(url)
    assert seen.handled == [1, 2, 3, 4, 5]
    assert [message.sequence for message in seen.messages] == [1, 2, 3, 4, 5]
    assert (await durable_info(url))["num_redelivered"] == 0


async def test_one_that_fails_is_tried_again_and_later_ones_wait(url: str) -> None:
    seen = Seen(failing={2: 3})
    await publish(url, "bin-1", "bin-2", "bin-3")
    async with consuming(url, seen, **QUICK):
        await until_all_answered(url)
    assert seen.handled == [1, 2, 3]
    assert seen.tries(2) == [1, 2, 3, 4]
    assert seen.tries(3) == [1]


async def test_waits_between_attempts_grow(url: str) -> None:
    began: list[float] = []

    async def fail_thrice(_message: Message) -> None:
        began.append(anyio.current_time())
        if len(began) < 4:
            raise RuntimeError

    await publish(url, "bin-1")
    async with consuming(url, fail_thrice, retry_base=0.05, retry_max=0.1):
        await until_all_answered(url)
    first, second, third = (after - before for before, after in pairwise(began))
    assert first >= 0.05
    assert min(second, third) >= 0.1


async def test_side_by_side_an_aggregate_waits_for_its_event_that_fails_and_others_do_not(url: str) -> None:
    seen = Seen(failing={1: 3})
    await publish(url, *("bin-1", "bin-2", None) * 8)
    async with consuming(url, seen, concurrency=4, **QUICK):
        await until_all_answered(url)
    assert sorted(seen.handled) == list(range(1, 25))
    of_aggregate = [n for n in seen.handled if n % 3 == 1]
    assert of_aggregate == sorted(of_aggregate)
    assert seen.handled.index(1) > seen.handled.index(2)
    assert seen.tries(1) == [1, 2, 3, 4]


async def test_side_by_side_means_that_handlers_overlap(url: str) -> None:
    together, most = 0, 0

    async def handle(_message: Message) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await until(lambda: most == 3)
        together -= 1

    await publish(url, "bin-1", "bin-2", "bin-3", "bin-4", "bin-5")
    async with consuming(url, handle, concurrency=3):
        await until_all_answered(url)
    assert most == 3


async def test_a_rejected_message_is_told_of_once_and_never_comes_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[int, str]] = []

    async def handle(message: Message) -> None:
        if message.json()["n"] == 1:
            raise Reject("no such article")

    async def on_rejected(message: Message, reason: str) -> None:
        told.append((message.sequence, reason))

    await publish(url, "bin-1", "bin-1")
    async with consuming(url, handle, on_rejected=on_rejected):
        await until_all_answered(url)
    assert told == [(1, "no such article")]
    [line] = [record.msg for record in caplog.records if record.levelno == logging.ERROR]
    assert isinstance(line, dict)
    assert (line["event"], line["sequence"], line["reason"]) == ("consumer.rejected", 1, "no such article")


async def test_a_rejection_that_nobody_could_be_told_of_comes_again(url: str) -> None:
    told: list[int] = []

    async def handle(_message: Message) -> None:
        raise Reject("never")

    async def on_rejected(message: Message, _reason: str) -> None:
        told.append(message.deliveries)
        if len(told) == 1:
            raise ConnectionError

    await publish(url, "bin-1")
    async with consuming(url, handle, on_rejected=on_rejected, max_attempts=1, **QUICK):
        await until_all_answered(url)
    assert told == [1, 2]


@pytest.mark.parametrize("missing", [{"ce-id": ""}, {"ce-id": "17"}], ids=["no id", "no uuid"])
async def test_what_is_none_of_the_relays_never_reaches_the_handler(
    url: str, missing: dict[str, str]
) -> None:
    seen, told = Seen(), []

    async def on_rejected(_message: Message, reason: str) -> None:
        told.append(reason)

    strange = {name: value for name, value in {**headers_of(1), **missing}.items() if value}
    await publish_raw(url, strange, b"?")
    await publish(url, "bin-1", first=2)
    async with consuming(url, seen, on_rejected=on_rejected):
        await until_all_answered(url)
    assert seen.handled == [2]
    assert len(told) == 1
    assert "ce-id" in told[0]


async def test_a_message_without_any_header_and_one_without_json_are_rejected(url: str) -> None:
    seen, told = Seen(), []

    async def on_rejected(message: Message, reason: str) -> None:
        told.append((message.sequence, reason))

    await publish_raw(url, {}, b"")
    await publish_raw(url, headers_of(2), b"{no json")
    async with consuming(url, seen, on_rejected=on_rejected):
        await until_all_answered(url)
    assert told == [(1, "it has no header ce-id"), (2, "its body is not JSON")]


async def test_after_so_many_attempts_a_message_is_given_up(url: str) -> None:
    seen, told = Seen(failing={1: 99}), []

    async def on_rejected(message: Message, reason: str) -> None:
        told.append((message.deliveries, reason))

    await publish(url, "bin-1", "bin-1")
    async with consuming(url, seen, on_rejected=on_rejected, max_attempts=3, **QUICK):
        await until_all_answered(url)
    assert told == [(3, "delivered 3 times, the last time it failed with RuntimeError")]
    assert seen.handled == [2]


async def test_a_long_handler_shows_signs_of_life(url: str) -> None:
    words: list[bytes] = []

    async def hear(msg: Any) -> None:
        words.append(msg.data)

    async def handle(_message: Message) -> None:
        with anyio.fail_after(10):
            await until(lambda: words.count(b"+WPI") == 3)

    async with connected(url) as client:
        await listen(client, f"$JS.ACK.{STREAM}.{DURABLE}.>", hear)
        await publish(url, "bin-1")
        async with consuming(url, handle, ack_wait=0.9, max_attempts=1):
            await until_all_answered(url)
            await until(lambda: words[-1] != b"+WPI")
    assert words[-1] == b"+ACK"


@pytest.mark.slow
async def test_a_long_handler_keeps_its_message_from_others(url: str) -> None:
    one, other = Seen(slow=9.0), Seen(slow=9.0)
    await publish(url, "bin-1")
    async with consuming(url, one, ack_wait=4.0), consuming(url, other, ack_wait=4.0):
        await until_all_answered(url)
    assert one.handled + other.handled == [1]


async def test_a_handler_that_takes_too_long_is_cancelled_and_tried_again(url: str) -> None:
    began: list[int] = []

    async def hang_once(message: Message) -> None:
        began.append(message.deliveries)
        if len(began) == 1:
            await anyio.sleep_forever()

    await publish(url, "bin-1")
    async with consuming(url, hang_once, handler_timeout=0.1, **QUICK):
        await until_all_answered(url)
    assert began == [1, 2]


async def test_no_line_of_the_log_tells_what_an_error_says(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "outbox_notify")

    async def fail_once(message: Message) -> None:
        if message.deliveries == 1:
            raise ValueError(f"unknown: {message.body!r}")

    await publish(url, "bin-1")
    async with consuming(url, fail_once, **QUICK):
        await until_all_answered(url)
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert '"n"' not in str(lines)
    [retry] = [line for line in lines if line["event"] == "consumer.retry"]
    assert retry["error"] == "ValueError"
    assert "test_consumer.py" in retry["where"]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_stop_lets_handlers_end_and_gives_the_rest_back_at_once(url: str, concurrency: int) -> None:
    began, ended = anyio.Event(), []

    async def handle(message: Message) -> None:
        began.set()
        await anyio.sleep(0.2)
        ended.append(message.json()["n"])

    await publish(url, *["bin-1"] * 6)
    async with consuming(url, handle, concurrency=concurrency) as stopping:
        await began.wait()
        stopping.set()
    assert ended == [1]
    others = Seen()
    # Long before the 30 seconds are over after which JetStream takes back what has no answer.
    with anyio.fail_after(10):
        async with consuming(url, others):
            await until(lambda: len(others.handled) == 5)
    assert others.handled == [2, 3, 4, 5, 6]


async def test_a_stop_ends_in_time_whatever_a_handler_does_and_gives_its_message_back(url: str) -> None:
    began = anyio.Event()

    async def hang(_message: Message) -> None:
        began.set()
        await anyio.sleep_forever()

    await publish(url, "bin-1")
    with anyio.fail_after(10):
        async with consuming(url, hang, stop_within=0.2) as stopping:
            await began.wait()
            stopping.set()
        others = Seen()
        async with consuming(url, others):
            await until(lambda: others.handled == [1])
    assert others.tries(1) == [2]


async def test_a_consumer_that_is_cancelled_gives_its_message_back(url: str) -> None:
    began = anyio.Event()

    async def hang(_message: Message) -> None:
        began.set()
        await anyio.sleep_forever()

    await publish(url, "bin-1")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume, url, STREAM, DURABLE, hang)
            await began.wait()
            tasks.cancel_scope.cancel()
        others = Seen()
        async with consuming(url, others):
            await until(lambda: others.handled == [1])


async def test_without_the_stream_it_waits_for_it(nats_server: EmbeddedNats) -> None:
    seen = Seen()
    async with consuming(nats_server.url, seen):
        await anyio.to_thread.run_sync(create_stream, nats_server.url, "events.>")
        await publish(nats_server.url, "bin-1")
        await until(lambda: seen.handled == [1])


async def test_it_goes_on_where_it_was_when_nats_has_been_restarted(nats_server: EmbeddedNats) -> None:
    seen, url = Seen(slow=0.05), nats_server.url
    await anyio.to_thread.run_sync(create_stream, url, "events.>")
    await publish(url, *["bin-1"] * 20)
    with anyio.fail_after(25):
        async with consuming(url, seen):
            await until(lambda: len(seen.handled) == 5)
            nats_server.kill()
            nats_server.start()
            await until(lambda: len(set(seen.handled)) == 20)
    assert list(dict.fromkeys(seen.handled)) == list(range(1, 21))


@pytest.mark.slow
async def test_it_leaves_a_server_that_is_silent_and_goes_on_when_it_speaks(
    nats_server: EmbeddedNats, caplog: pytest.LogCaptureFixture
) -> None:
    seen, url = Seen(), nats_server.url
    await anyio.to_thread.run_sync(create_stream, url, "events.>")
    await publish(url, "bin-1")
    async with consuming(url, seen):
        await until(lambda: seen.handled == [1])
        nats_server.freeze()
        try:
            await until(lambda: "consumer.waiting" in caplog.text)
        finally:
            nats_server.thaw()
        await publish(url, "bin-1", first=2)
        await until(lambda: seen.handled[-1] == 2)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_it_asks_again_when_a_request_has_expired(
    url: str, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    monkeypatch.setattr(link, "_EXPIRES", 0.3)
    monkeypatch.setattr(link, "_HEARTBEAT", 0.1)
    seen, asked = Seen(), []

    async def hear(msg: Any) -> None:
        asked.append(json.loads(msg.data)["batch"])

    async with connected(url) as client:
        await listen(client, f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}", hear)
        async with consuming(url, seen, concurrency=concurrency):
            await until(lambda: len(asked) == 3)
            await publish(url, "bin-1", "bin-1")
            await until(lambda: seen.handled == [1, 2])
    window = 1 if concurrency == 1 else 8
    assert asked[:3] == [window] * 3


async def test_a_durable_that_is_deleted_is_made_again(url: str) -> None:
    seen = Seen()
    async with consuming(url, seen):
        await until_durable(url, bool)
        await anyio.to_thread.run_sync(jetstream_api, url, f"CONSUMER.DELETE.{STREAM}.{DURABLE}")
        await publish(url, "bin-1")
        await until(lambda: seen.handled == [1])


async def test_a_durable_that_would_let_events_pass_is_refused(url: str) -> None:
    async with consuming(url, Seen(), concurrency=2):
        await until_durable(url, bool)
    with anyio.fail_after(10), pytest.raises(ConfigError, match="max_ack_pending 1000"):
        await consume(url, STREAM, DURABLE, Seen(), create=False)


async def test_a_durable_that_begins_elsewhere_is_refused(url: str) -> None:
    async with consuming(url, Seen()):
        await until_durable(url, bool)
    with anyio.fail_after(10), pytest.raises(ConfigError, match="deliver policy"):
        await consume(url, STREAM, DURABLE, Seen(), deliver="new")


async def test_only_what_is_asked_for_comes(url: str) -> None:
    seen = Seen()
    await publish(url, "bin-1")
    async with consuming(url, seen, filter_subjects=["events.other.>", "events.*.goods.>"]):
        await until_durable(url, bool)
        assert (await durable_info(url))["num_pending"] == 0
    assert seen.messages == []
