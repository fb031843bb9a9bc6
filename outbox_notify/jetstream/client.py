"""One connection to NATS, made new each time: credentials are read again, and nothing is kept from the last one."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import anyio

from outbox_notify.errors import ConfigError, NatsUnreachable
from outbox_notify.jetstream.addresses import Addresses
from outbox_notify.jetstream.guarded import GuardedClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client

    from outbox_notify.config.settings import Settings

CONNECT_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 1.0
_PING_INTERVAL = 5
_PINGS_OUTSTANDING = 2


async def connect_nats(
    settings: Settings,
    on_error: Callable[[Exception], Awaitable[None]],
    on_closed: Callable[[], Awaitable[None]],
    addresses: Addresses | None = None,
) -> GuardedClient:
    """Return a connected client that never reconnects by itself.

    When TLS is set, nothing is said to a server before the connection is encrypted and its certificate checked.

    Args:
        settings: servers, credentials, TLS, relay id.
        on_error: called with what the server or the library complains about.
        on_closed: called when the connection has ended, for whatever reason.
        addresses: where to go on; without them, the servers of the settings are tried from the first on.

    Raises:
        NatsUnreachable: no server took the connection within `CONNECT_TIMEOUT` seconds; says why.
        ConfigError: a file of certificates or credentials cannot be read.
    """
    options = _options(settings)
    reasons: list[str] = []
    for server in (addresses or Addresses()).in_turn(settings.nats_url):
        client = GuardedClient()
        try:
            with anyio.fail_after(CONNECT_TIMEOUT):
                await client.connect(
                    servers=[server],
                    error_cb=on_error,
                    closed_cb=on_closed,
                    **_login(settings, server),
                    **options,
                )
        except Exception as error:  # noqa: BLE001  # whatever the library raises here means: not connected
            reasons.append(reason(error, CONNECT_TIMEOUT))
            await close_nats(client)
        except BaseException:
            await close_nats(client)
            raise
        else:
            return client
    raise NatsUnreachable("; ".join(dict.fromkeys(reasons)))


async def close_nats(client: Client) -> None:
    """Close a client within a second, whatever state it is in."""
    transport: Any = client._transport  # noqa: SLF001  # pinned by a contract test
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
        # A client that is dropped may fail in any way it likes.
        with contextlib.suppress(Exception):
            await client.close()
    # It closes the socket only when all that it has buffered is through, which a frozen server never lets happen.
    with contextlib.suppress(AttributeError):  # never connected, or gone already
        transport._io_writer.transport.abort()  # noqa: SLF001  # pinned by the same test
    await _end_tasks(client)


async def _end_tasks(client: Any) -> None:
    """End what a client leaves behind whose own closing failed: asyncio would tell of each task with a traceback."""
    tasks = [client._reading_task, client._ping_interval_task, client._flusher_task]  # noqa: SLF001  # as above
    tasks += [subscription._wait_for_msgs_task for subscription in client._subs.values()]  # noqa: SLF001  # as above
    for task in filter(None, tasks):
        task.cancel()
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


async def write_frames(client: Any, frames: list[bytes]) -> None:
    """Write frames to the socket at once, behind what the client has buffered; return when the server has taken most.

    Its own publish encodes headers one by one, at twice the cost, and leaves the writing to a later turn of the loop:
    by then a lease may have run out.
    """
    buffered, client._pending, client._pending_data_size = client._pending, [], 0  # noqa: SLF001  # pinned by a contract test
    client._transport.write(b"".join([*buffered, *frames]))  # noqa: SLF001  # as its own flusher does
    await client._transport.drain()  # noqa: SLF001


def _options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "name": settings.relay_id,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        # It tries a server that refuses once more, two seconds later, while another one could be asked.
        "reconnect_time_wait": 0,
        "connect_timeout": CONNECT_TIMEOUT,
        "ping_interval": _PING_INTERVAL,
        "max_outstanding_pings": _PINGS_OUTSTANDING,
    }
    if (
        settings.nats_tls_ca
        or settings.nats_tls_cert
        or settings.nats_tls_first
        or settings.nats_tls_hostname
        or "tls://" in settings.nats_url
    ):
        options["tls"] = _tls(settings)
        options["tls_hostname"] = settings.nats_tls_hostname
        options["tls_handshake_first"] = settings.nats_tls_first
    return options


def _login(settings: Settings, server: str) -> dict[str, Any]:
    """Return who we are: as set, or else as the server's URL says, which nats-py would not decode."""
    as_set = {
        "user": settings.nats_user,
        "password": settings.nats_password,
        "token": settings.nats_token,
        "user_credentials": settings.nats_creds,
        "nkeys_seed_str": settings.nats_nkey_seed,
    }
    if settings.nats_creds is not None:
        _check_creds(Path(settings.nats_creds))
    address = urlsplit(server)
    if any(as_set.values()) or address.username is None:
        return as_set
    user = unquote(address.username)
    if address.password is None:
        return {"token": user}
    return {"user": user, "password": unquote(address.password)}


def _check_creds(path: Path) -> None:
    """Refuse a file that lacks its token or its seed: nats-py would fail without a word about the file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if not all(f"BEGIN {part}" in text for part in ("NATS USER JWT", "USER NKEY SEED")):
        raise ConfigError(f"{path} does not hold the JWT and the seed of a user, as nsc writes them")


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.nats_tls_ca)
        if settings.nats_tls_cert:
            context.load_cert_chain(settings.nats_tls_cert, settings.nats_tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS for NATS: {error}: check OUTBOX_NATS_TLS_CA, _CERT and _KEY") from None
    return context


def reason(error: Exception, within: float) -> str:
    """Return in words why nats-py failed; `within` is how many seconds it had."""
    if isinstance(error, TimeoutError):
        return f"no answer within {within:g} s"
    return str(error).removeprefix("nats: ") or type(error).__name__
