"""The answers: `/livez`, `/readyz`, `/metrics` and `/status`."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from outbox_notify.http.views import Views

_ASK = {"WWW-Authenticate": 'Basic realm="outbox-notify", charset="UTF-8"'}


class _Answers:
    """One method for each path.

    Args:
        views: where answers come from.
        login: `user:password` that is asked for; None when everybody may see everything.
    """

    def __init__(self, views: Views, login: str | None) -> None:
        self._views = views
        self._expected = None if login is None else base64.b64encode(login.encode())

    async def live(self, _request: Request) -> Response:
        """Answer, which is what it takes: the event loop turns. No server is looked at."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Tell whether the relay can do its work; why it cannot, only those who may know."""
        troubles = self._views.troubles()
        shown = {"reasons": troubles} if self._knows(request) else {}
        return JSONResponse({"ready": not troubles, **shown}, 503 if troubles else 200)

    async def metrics(self, request: Request) -> Response:
        """Write all metrics."""
        body, content_type = self._views.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def status(self, _request: Request) -> Response:
        """Write what `status --json` prints."""
        try:
            return JSONResponse(await self._views.status())
        except OutboxError as error:
            return JSONResponse({"error": str(error)}, 503)

    def guarded(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an answer that is given only to those who log in."""

        async def asked(request: Request) -> Response:
            if self._knows(request):
                return await answer(request)
            return JSONResponse({"error": "log in"}, 401, _ASK)

        return asked

    def _knows(self, request: Request) -> bool:
        if self._expected is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(errors="replace"), self._expected)
        return right and scheme.lower() == "basic"


def make_app(views: Views, login: str | None) -> Starlette:
    """Return the application. It takes GET and HEAD, and reads no body.

    Args:
        views: where answers come from.
        login: `user:password` for all but the probes; None for none.
    """
    answers = _Answers(views, login)
    return Starlette(
        routes=[
            Route("/livez", answers.live),
            Route("/readyz", answers.ready),
            Route("/metrics", answers.guarded(answers.metrics)),
            Route("/status", answers.guarded(answers.status)),
        ]
    )
