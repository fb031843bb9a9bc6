"""The stream that everything is published to, and when it got what."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import nats

from benchmarks.errors import BenchmarkError
from outbox_notify.jetstream.streams import ensure_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nats.aio.client import Client

STREAM = "OUTBOX"
PREFIX = "events"
_TIMEOUT = 10.0

Question = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """What the stream holds.

    Args:
        messages: how many.
        first: when the server stored the first of them, seconds.
        last: when it stored the last of them.
    """

    messages: int
    first: float
    last: float

    @property
    def rate(self) -> float:
        """Messages a second, from the first to the last."""
        return (self.messages - 1) / (self.last - self.first)


class Stream:
    """The stream of one server.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def renew(self, subjects: Sequence[str] = ()) -> None:
        """Make it empty, as the relay itself makes it, and without any memory of message ids.

        Args:
            subjects: the only ones that it takes, if any are given.
        """
        anyio.run(self._renew, subjects)

    def stored(self) -> Stored:
        """Return what it holds now."""
        state = anyio.run(self._ask, f"STREAM.INFO.{STREAM}", [{}])[0]["state"]
        return Stored(state["messages"], _seconds(state["first_ts"]), _seconds(state["last_ts"]))

    def times(self, sequences: Iterable[int]) -> list[float]:
        """Return when it stored some of its messages, seconds."""
        answers = anyio.run(self._ask, f"STREAM.MSG.GET.{STREAM}", [{"seq": seq} for seq in sequences])
        return [_seconds(answer["message"]["time"]) for answer in answers]

    def wait_for(self, messages: int, patience: float, check: Callable[[], None]) -> None:
        """Return once it holds so many messages.

        Args:
            messages: how many.
            patience: for how long it may get none, seconds.
            check: raises when it is of no use to wait any longer.
        """
        anyio.run(self._wait_for, messages, patience, check)

    async def _renew(self, subjects: Sequence[str]) -> None:
        async with await nats.connect(self._url) as client:
            await _request(client, f"STREAM.DELETE.{STREAM}", {}, may_fail=True)
            await ensure_stream(client, STREAM, PREFIX)
            if subjects:
                config = (await _request(client, f"STREAM.INFO.{STREAM}", {}))["config"]
                await _request(client, f"STREAM.UPDATE.{STREAM}", {**config, "subjects": subjects})

    async def _ask(self, subject: str, questions: Sequence[Question]) -> list[dict[str, Any]]:
        async with await nats.connect(self._url) as client:
            return [await _request(client, subject, question) for question in questions]

    async def _wait_for(self, messages: int, patience: float, check: Callable[[], None]) -> None:
        before, since = 0, time.monotonic()
        async with await nats.connect(self._url) as client:
            while (held := await _held(client)) < messages:
                check()
                if held > before:
                    before, since = held, time.monotonic()
                if time.monotonic() - since > patience:
                    raise BenchmarkError(f"the stream holds {held} of {messages} messages, and gets no more")
                await anyio.sleep(0.05)


async def _held(client: Client) -> int:
    info = await _request(client, f"STREAM.INFO.{STREAM}", {})
    return int(info["state"]["messages"])


async def _request(
    client: Client, subject: str, question: Question, *, may_fail: bool = False
) -> dict[str, Any]:
    reply = await client.request(f"$JS.API.{subject}", json.dumps(question).encode(), timeout=_TIMEOUT)
    answer: dict[str, Any] = json.loads(reply.data)
    if "error" in answer and not may_fail:
        raise BenchmarkError(f"JetStream: {subject}: {answer['error']}")
    return answer


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
