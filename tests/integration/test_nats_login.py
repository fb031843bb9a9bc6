"""Who the relay says it is to NATS, by settings or in the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from outbox_notify.config.settings import Settings
from outbox_notify.embedded import EmbeddedNats
from outbox_notify.errors import NatsUnreachable
from outbox_notify.jetstream.client import close_nats, connect_nats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

# What a generated password may hold; `$` would be a variable of the server's configuration.
CANARY = "c4nary: p@ss/w?rd#100%+&="
ENCODED = quote(CANARY, safe="")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Host and port of a server that takes the user `relay`."""
    with EmbeddedNats(f"authorization {{ user: relay, password: '{CANARY}' }}") as server:
        yield server.url.removeprefix("nats://")


@pytest.fixture(scope="module")
def token_address() -> Iterator[str]:
    """Host and port of a server that takes a token."""
    with EmbeddedNats(f"authorization {{ token: '{CANARY}' }}") as server:
        yield server.url.removeprefix("nats://")


async def connects(**settings: Any) -> None:
    async def on_error(_error: Exception) -> None:
        """Refusals are what connecting raises."""

    async def on_closed() -> None:
        """The test closes it."""

    await close_nats(await connect_nats(Settings(**settings), on_error, on_closed))


async def test_a_password_in_the_url_may_hold_any_character_when_it_is_encoded(address: str) -> None:
    await connects(nats_url=f"nats://relay:{ENCODED}@{address}")


async def test_a_token_in_the_url_may_hold_any_character_when_it_is_encoded(token_address: str) -> None:
    await connects(nats_url=f"nats://{ENCODED}@{token_address}")


async def test_settings_hold_passwords_as_they_are(address: str, token_address: str) -> None:
    await connects(nats_url=f"nats://{address}", nats_user="relay", nats_password=CANARY)
    await connects(nats_url=f"nats://{token_address}", nats_token=CANARY)


async def test_each_address_has_its_own_login(address: str, token_address: str) -> None:
    await connects(nats_url=f"nats://wrong@{token_address}, nats://relay:{ENCODED}@{address}")


async def test_what_is_set_goes_before_what_the_url_says(address: str) -> None:
    await connects(nats_url=f"nats://relay:wrong@{address}", nats_user="relay", nats_password=CANARY)


async def test_t56_a_refused_login_says_so_without_repeating_it(address: str) -> None:
    for url in (f"nats://relay:not-{ENCODED}@{address}", f"nats://not-{ENCODED}@{address}"):
        with pytest.raises(NatsUnreachable, match="Authorization Violation") as caught:
            await connects(nats_url=url)
        assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", CANARY, f"-----BEGIN NATS USER JWT-----\n{CANARY}\n------END NATS USER JWT------\n"]
)
async def test_t56_a_credentials_file_that_is_none_is_named_and_not_repeated(
    address: str, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "relay.creds"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NatsUnreachable, match=r"relay\.creds does not hold") as caught:
        await connects(nats_url=f"nats://{address}", nats_creds=str(file))
    assert "c4nary" not in str(caught.value)


async def test_a_credentials_file_that_is_not_there_is_named(address: str, tmp_path: Path) -> None:
    with pytest.raises(NatsUnreachable, match=r"No such file.*relay\.creds"):
        await connects(nats_url=f"nats://{address}", nats_creds=str(tmp_path / "relay.creds"))
