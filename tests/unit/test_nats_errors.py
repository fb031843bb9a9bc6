"""Whatever nats-py raises at the border means: not connected. Nothing of it may end the relay."""

from __future__ import annotations

import inspect
import json
import ssl
from typing import Any

import nats.errors
import nats.js.errors
import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.errors import NatsUnreachable
from outbox_notify.jetstream import client as connecting
from outbox_notify.jetstream.client import connect_nats
from outbox_notify.jetstream.guarded import GuardedClient
from outbox_notify.jetstream.session import understood

pytestmark = pytest.mark.anyio

ARGUMENTS: dict[type[Exception], tuple[Any, ...]] = {
    nats.errors.SlowConsumerError: ("events.acme.a", "", 1, None),
    nats.js.errors.ConsumerSequenceMismatchError: (1, 2, 3),
}
# What lies under nats-py, and what it lets through: assertions, an answer that is no JSON, a refusal with a new field.
BELOW: list[Exception] = [
    ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 4222)"),
    ConnectionResetError(104, "Connection reset by peer"),
    BrokenPipeError(32, "Broken pipe"),
    OSError(113, "No route to host"),
    OSError(24, "Too many open files"),
    TimeoutError(),
    EOFError(),
    ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired"),
    ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
    json.JSONDecodeError("Expecting value", "x", 0),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    AssertionError("Client.connect must be called first"),
    AttributeError("'NoneType' object has no attribute 'write'"),
    TypeError("unexpected keyword argument 'hint'"),
    KeyError("code"),
    ValueError("Separator is not found, and chunk exceed the limit"),
    RuntimeError("Event loop is closed"),
]


def of_the_library() -> list[Exception]:
    """One of each class of error that nats-py declares."""
    declared = [*vars(nats.errors).values(), *vars(nats.js.errors).values()]
    kinds = {kind for kind in declared if inspect.isclass(kind) and issubclass(kind, Exception)}
    return [kind(*ARGUMENTS.get(kind, ())) for kind in sorted(kinds, key=str)]


EVERY_ERROR = [*of_the_library(), *BELOW]


def named(error: object) -> str:
    return type(error).__name__


def test_nats_py_has_errors_to_go_through() -> None:
    assert len(of_the_library()) > 40


@pytest.mark.parametrize("error", EVERY_ERROR, ids=named)
async def test_every_error_of_a_step_is_an_outage_with_a_reason(error: Exception) -> None:
    with (
        pytest.raises(NatsUnreachable, match=r"JetStream does not answer: .+") as caught,
        understood("JetStream does not answer", 1.0),
    ):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=named)
async def test_every_error_of_connecting_is_an_outage_with_a_reason(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(GuardedClient):
        async def connect(self, *_arguments: Any, **_options: Any) -> None:
            raise error

    monkeypatch.setattr(connecting, "GuardedClient", Failing)
    with pytest.raises(NatsUnreachable, match=r"."):
        await connect_nats(Settings(), ignore_error, ignore)


async def ignore_error(_error: Exception) -> None:
    """Stand in for who hears of errors."""


async def ignore() -> None:
    """Stand in for who hears of the end."""
