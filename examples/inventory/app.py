"""The service over HTTP: paths, status codes, and what callers may send."""

from __future__ import annotations

import json
import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from examples.inventory import projection, stock, use_cases
from examples.inventory.documents import InvalidMovement, Kind, Movement, read_movement
from examples.inventory.transactions import in_transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool
    from starlette.requests import Request

    Act = Callable[[AsyncConnection, str, UUID], Awaitable[None]]
    Show = Callable[[AsyncConnection, str], Awaitable[list[dict[str, Any]]]]
    Answer = Callable[[Request], Awaitable[JSONResponse]]

# The tenant is part of the event's subject, so it is one token of it.
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LARGEST_BODY = 1024 * 1024
_STATUS_CODES = {
    InvalidMovement: 422,
    use_cases.Unknown: 404,
    use_cases.AlreadyDone: 409,
    stock.NotEnough: 409,
}


def make_app(pool: AsyncConnectionPool) -> Starlette:
    """Return the service; it opens the pool when it starts, and closes it at its end."""
    answers = _Answers(pool)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    return Starlette(
        routes=[
            Route("/receipts", answers.adding("receipt"), methods=["POST"]),
            Route("/receipts/{id}/validate", answers.doing(use_cases.validate_receipt), methods=["POST"]),
            Route("/deliveries", answers.adding("delivery"), methods=["POST"]),
            Route("/deliveries/{id}/ship", answers.doing(use_cases.ship_delivery), methods=["POST"]),
            Route("/stock", answers.showing(stock.show), methods=["GET"]),
            Route("/projection", answers.showing(projection.show), methods=["GET"]),
        ],
        exception_handlers={
            HTTPException: _refused,
            psycopg.OperationalError: _database_away,
            psycopg.Error: _database_refuses,
            **dict.fromkeys(_STATUS_CODES, _refused_by_rule),
        },
        lifespan=lifespan,
    )


class _Answers:
    """One way to answer for each kind of request."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    def adding(self, kind: Kind) -> Answer:
        async def answer(request: Request) -> JSONResponse:
            tenant_id, movement = _tenant(request), await _movement(request)
            document_id = await in_transaction(self._pool, use_cases.add_document, kind, tenant_id, movement)
            return JSONResponse({"id": str(document_id)}, 201)

        return answer

    def doing(self, act: Act) -> Answer:
        async def answer(request: Request) -> JSONResponse:
            tenant_id, document_id = _tenant(request), _document_id(request)
            await in_transaction(self._pool, act, tenant_id, document_id)
            return JSONResponse({"id": str(document_id)})

        return answer

    def showing(self, show: Show) -> Answer:
        async def answer(request: Request) -> JSONResponse:
            return JSONResponse(await in_transaction(self._pool, show, _tenant(request)))

        return answer


def _tenant(request: Request) -> str:
    tenant_id = request.headers.get("X-Tenant-Id", "")
    if not _TENANT.fullmatch(tenant_id):
        raise HTTPException(400, "the header X-Tenant-Id must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return tenant_id


def _document_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise HTTPException(404, "there is no document with this id") from None


async def _movement(request: Request) -> Movement:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise HTTPException(413, f"the body must have {_LARGEST_BODY} bytes at most")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    return read_movement(given)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _refused_by_rule(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, _STATUS_CODES[type(error)])


async def _database_away(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "the database does not answer; try again"}, 503, {"Retry-After": "1"})


async def _database_refuses(_request: Request, error: Exception) -> JSONResponse:
    # Nothing foresees this. Its whole text may quote a row, so the log gets the first line of it alone.
    reason = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    logging.getLogger(__name__).error("PostgreSQL refused: %s", reason)
    return JSONResponse({"error": "this went wrong here, and nothing of it was kept"}, 500)
