"""Questions over one connection, whose answers may be that we may not ask."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from outbox_notify.errors import NatsUnreachable, NotPermitted, OutboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg

    from outbox_notify.jetstream.guarded import GuardedClient

ANSWER_TIMEOUT = 5.0

_REFUSED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)
_NO_RESPONDERS = "503"


class Refused(OutboxError):
    """JetStream answered with an error.

    Args:
        code: its `err_code`; 0 when there is nobody to answer.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(f"{text} ({code})" if code else text)


class Questions:
    """Asks, and hears the answer or what the server has against it: nats-py would only see that none comes."""

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count(1)
        self._deaf: NotPermitted | None = None

    async def on_error(self, error: Exception) -> None:
        """Take in what the server complains about; nats-py tells subjects in lower case."""
        if not (refused := _REFUSED.search(str(error))):
            return
        kind, subject = refused[1].lower(), refused[2].lower()
        objection = NotPermitted(f"NATS does not permit this {kind}: {subject}")
        concerned = [self._asked.get(subject)]
        if kind == "subscription":
            self._deaf, concerned = objection, list(self._answers.values())
        for future in concerned:
            if future is not None and not future.done():
                future.set_exception(objection)

    async def on_closed(self) -> None:
        """Give up what is asked: the connection has ended."""
        for future in self._answers.values():
            if not future.done():
                future.set_exception(NatsUnreachable("NATS has ended the connection"))

    async def begin(self, client: GuardedClient) -> None:
        """Listen for answers."""
        self._client = client
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def ask(self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Msg:
        """Publish a question and return the answer.

        Raises:
            NotPermitted: the user may not ask, or may not hear.
            NatsUnreachable: no answer in time.
        """
        if self._deaf is not None:
            raise self._deaf
        reply, asked = f"{self._inbox}.{next(self._numbers)}", subject.lower()
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._answers[reply] = self._asked[asked] = future
        try:
            await self._client.publish(subject, body, reply=reply, headers=dict(headers or {}) or None)
            return await asyncio.wait_for(future, ANSWER_TIMEOUT)
        except TimeoutError:
            raise NatsUnreachable(f"no answer within {ANSWER_TIMEOUT:g} s") from None
        finally:
            del self._answers[reply], self._asked[asked]

    async def api(self, call: str, **request: object) -> dict[str, Any]:
        """Ask JetStream's API.

        Args:
            call: such as `STREAM.INFO.OUTBOX`.
            request: fields of the request.

        Raises:
            Refused: it said no.
            OutboxError: as for `ask`.
        """
        body = json.dumps(request).encode() if request else b""
        return read_reply(await self.ask(f"$JS.API.{call}", body))

    async def _on_answer(self, msg: Msg) -> None:
        future = self._answers.get(msg.subject)
        if future is not None and not future.done():
            future.set_result(msg)


def read_reply(msg: Msg) -> dict[str, Any]:
    """Return what JetStream answered.

    Raises:
        Refused: an error.
        NatsUnreachable: nothing that JetStream would say.
    """
    if msg.headers and msg.headers.get("Status") == _NO_RESPONDERS:
        raise Refused(
            0, "nobody answers (503): JetStream is off, has no leader, or no stream takes the subject"
        )
    try:
        answer = json.loads(msg.data)
        error = answer.get("error")
    except (ValueError, AttributeError):
        raise NatsUnreachable("the answer is not one of JetStream") from None
    if error:
        raise Refused(int(error.get("err_code", 0)), str(error.get("description", "refused")))
    return dict(answer)
