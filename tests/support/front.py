"""A front that answers for JetStream, so that a test decides what becomes of each message.

It listens on subjects that no stream takes. What it lets through it stores in a real stream, under
`stored.<subject>` with all headers, and passes the stream's own ack on.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from tests.support.stream import connected, create_stream, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Answer:
    """What the front does with a message.

    Args:
        stores: whether it goes to the stream.
        error: JetStream's error to answer with, instead of the ack.
        answers: whether there is an answer at all.
    """

    stores: bool = True
    error: dict[str, Any] | None = None
    answers: bool = True


STORE = Answer()
LOSE_ACK = Answer(answers=False)
LOSE = Answer(stores=False, answers=False)
REFUSE = Answer(stores=False, error={"code": 400, "err_code": 19999, "description": "not today"})


@contextmanager
def standing_before(
    url: str, decide: Callable[[str, str], Answer], subject: str = "events.>"
) -> Iterator[None]:
    """Create the stream OUTBOX, and answer for it for the time of the context.

    Args:
        url: of the nats-server.
        decide: called with subject and message id, in a thread of the front.
        subject: what to answer on.
    """
    create_stream(url, "stored.>", "events.nobody.nothing", duplicate_window=600 * 10**9)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(connected(url)) as client:

        async def answer(msg: Any) -> None:
            verdict = decide(msg.subject, msg.headers["Nats-Msg-Id"])
            data = json.dumps({"error": verdict.error}).encode()
            if verdict.stores:
                ack = await client.request(
                    f"stored.{msg.subject}", msg.data, timeout=_TIMEOUT, headers=msg.headers
                )
                data = ack.data
            if verdict.answers:
                await client.publish(msg.reply, data)

        portal.call(listen, client, subject, answer)
        yield
