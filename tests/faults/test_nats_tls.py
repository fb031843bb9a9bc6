"""TLS towards NATS: a server that is not what it should be is told nothing, least of all a password."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import nats
import nkeys
import pytest
import trustme

from outbox_notify.embedded import EmbeddedNats
from outbox_notify.relay.outcomes import Published
from tests.support.credentials import new_seed
from tests.support.publishing import publishing, ticket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

SECRET = "c4nary-of-nats"  # noqa: S105  # what nobody may be sent
LOGIN = {"nats_user": "relay", "nats_password": SECRET}
INFO: dict[str, Any] = {
    "server_id": "x",
    "version": "2.15.1",
    "headers": True,
    "max_payload": 2**20,
    "proto": 1,
}
# What a server, or somebody in its place, may say to get at the password.
DOWNGRADES: dict[str, dict[str, Any]] = {
    "no word of TLS": {},
    "TLS is not required": {"tls_required": False, "tls_available": True, "auth_required": True},
    "TLS is required, says a text": {"tls_required": "", "tls_verify": True},
    "sign this": {"nonce": "0123456789", "auth_required": True},
}


class Eavesdropper:
    """Says what it is told to, and keeps all that it hears."""

    def __init__(self, info: dict[str, Any]) -> None:
        self._greeting = f"INFO {json.dumps({**INFO, **info})}\r\n".encode()
        self.heard = b""
        self.met = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._greeting)
        self.met.set()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.heard += data
                writer.write(b"PONG\r\n" * data.count(b"PING\r\n"))
        writer.close()


@asynccontextmanager
async def eavesdropping(info: dict[str, Any]) -> AsyncIterator[tuple[Eavesdropper, int]]:
    ear = Eavesdropper(info)
    server = await asyncio.start_server(ear.serve, "127.0.0.1", 0)
    try:
        yield ear, server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Certificates:
    """An authority, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.authority = self._file("ca.pem", self._authority.cert_pem)

    def server_config(self, *names: str, extra: str = "", not_after: datetime | None = None) -> str:
        """Return the configuration of a server with a certificate for the names."""
        signed = self._authority.issue_cert(*names, not_after=not_after)
        chain = b"".join(blob.bytes() for blob in signed.cert_chain_pems)
        (self._folder / "cert.pem").write_bytes(chain)
        key = self._file("key.pem", signed.private_key_pem)
        return (
            f'tls {{ cert_file: "{self._folder}/cert.pem", key_file: "{key}", timeout: 10 {extra} }}\n'
            f"authorization {{ users: [{{ user: relay, password: {SECRET} }}] }}"
        )

    def _file(self, name: str, blob: trustme.Blob) -> str:
        blob.write_to_path(str(self._folder / name))
        return str(self._folder / name)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.mark.parametrize("info", DOWNGRADES.values(), ids=list(DOWNGRADES))
@pytest.mark.parametrize("how", ["nats_tls_ca", "tls://", "nats_tls_hostname", "nkey"])
async def test_t57_a_server_without_tls_is_told_nothing(
    certificates: Certificates, how: str, info: dict[str, Any]
) -> None:
    settings: dict[str, dict[str, Any]] = {
        "nats_tls_ca": {"nats_tls_ca": certificates.authority, **LOGIN},
        "tls://": LOGIN,
        "nats_tls_hostname": {"nats_tls_hostname": "nats.example.org", **LOGIN},
        "nkey": {"nats_tls_ca": certificates.authority, "nats_nkey_seed": new_seed(nkeys.PREFIX_BYTE_USER)},
    }
    async with eavesdropping(info) as (ear, port):
        url = f"{'tls' if how == 'tls://' else 'nats'}://127.0.0.1:{port}"
        async with publishing(url, **settings[how]) as desk:
            await desk.until(lambda: desk.publisher.outage != "not connected yet", "the refusal")
            assert not desk.publisher.ready
        assert ear.met.is_set()
        assert ear.heard == b""
    assert desk.publisher.outage == "secure connection not available"


@pytest.mark.slow
async def test_t57_a_server_without_tls_is_told_nothing_by_one_who_begins_with_it(
    certificates: Certificates,
) -> None:
    async with eavesdropping({}) as (ear, port):
        settings = {"nats_tls_first": True, "nats_tls_ca": certificates.authority, **LOGIN}
        async with publishing(f"nats://127.0.0.1:{port}", **settings) as desk:
            await desk.until(lambda: desk.publisher.outage != "not connected yet", "the refusal")
            assert not desk.publisher.ready
        # The greeting of TLS, and nothing after it.
        assert ear.heard.startswith(b"\x16\x03")
        assert b"CONNECT" not in ear.heard


async def test_nats_py_alone_would_have_told_the_password(certificates: Certificates) -> None:
    async with eavesdropping({}) as (ear, port):
        context = ssl.create_default_context(cafile=certificates.authority)
        client = await nats.connect(
            f"tls://127.0.0.1:{port}", tls=context, user="relay", password=SECRET, allow_reconnect=False
        )
        await client.close()
        # When this fails the guard is no longer needed.
        assert SECRET.encode() in ear.heard


@pytest.mark.parametrize("first", [{}, {"nats_tls_first": True}], ids=["TLS when asked", "TLS first"])
async def test_t57_a_server_that_is_what_it_should_be_is_told_everything(
    certificates: Certificates, first: dict[str, Any]
) -> None:
    config = certificates.server_config("127.0.0.1", extra=", handshake_first: true" if first else "")
    with EmbeddedNats(config=config) as server:
        async with publishing(server.url, nats_tls_ca=certificates.authority, **first, **LOGIN) as desk:
            await desk.ready()
            (outcome,) = await desk.publish(ticket())
            assert isinstance(outcome, Published)


async def test_t57_another_name_in_the_certificate_is_taken_when_it_is_the_one_that_was_set(
    certificates: Certificates,
) -> None:
    with EmbeddedNats(config=certificates.server_config("nats.example.org")) as server:
        ours = {"nats_tls_ca": certificates.authority, **LOGIN}
        async with publishing(server.url, nats_tls_hostname="nats.example.org", **ours) as desk:
            await desk.ready()
        async with publishing(server.url, nats_tls_hostname="nats.example.com", **ours) as desk:
            await desk.until(lambda: "ostname mismatch" in str(desk.publisher.outage), "the refusal")


@pytest.mark.parametrize(
    ("name", "not_after", "ca", "says"),
    [
        ("127.0.0.1", None, "another", "unable to get local issuer"),
        ("127.0.0.1", None, "none", "unable to get local issuer"),
        ("nats.example.org", None, "ours", "mismatch"),
        ("127.0.0.1", datetime.now(UTC) - timedelta(days=1), "ours", "expired"),
    ],
    ids=["wrong CA", "no CA", "wrong host", "expired"],
)
async def test_t57_a_server_with_the_wrong_certificate_is_refused(
    certificates: Certificates, tmp_path: Path, name: str, not_after: datetime | None, ca: str, says: str
) -> None:
    (tmp_path / "another").mkdir()
    cas = {"ours": certificates.authority, "another": Certificates(tmp_path / "another").authority}
    # Without a CA it is the system's that count; TLS is used since the server asks for it.
    settings = {"nats_tls_ca": cas[ca]} if ca in cas else {}
    with EmbeddedNats(config=certificates.server_config(name, not_after=not_after)) as server:
        async with publishing(server.url, **settings, **LOGIN) as desk:
            await desk.until(lambda: says in str(desk.publisher.outage), "the refusal")
            assert "certificate verify failed" in str(desk.publisher.outage)
            assert not desk.publisher.ready
        assert "authentication error" not in server.log_path.read_text(encoding="utf-8")
