"""Credentials for NATS of each kind, for real: they let in, they are changed under way, and are read again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nkeys
import pytest

from outbox_notify.embedded import EmbeddedNats
from tests.support.command import QUICK
from tests.support.credentials import Operator, new_seed, public_key
from tests.support.outbox import fill, outbox_table
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.command import CommandProcess, Starter


@dataclass
class Login:
    """One way to say who we are, with an old and a new secret.

    Args:
        variable: names the file.
        secrets: contents of the file: the old one, the new one.
        configs: of servers: one that takes the old, one that takes the new.
        restarts: whether the server has to be restarted to learn of the new one.
    """

    variable: str
    secrets: tuple[str, str]
    configs: tuple[str, str]
    restarts: bool = False


def by_password() -> Login:
    secrets = ("c4nary-old", "c4nary-new")
    users = "authorization {{ users: [{{ user: relay, password: {} }}] }}"
    return Login("OUTBOX_NATS_PASSWORD_FILE", secrets, (users.format(secrets[0]), users.format(secrets[1])))


def by_token() -> Login:
    secrets = ("c4nary-old", "c4nary-new")
    tokens = "authorization {{ token: {} }}"
    return Login("OUTBOX_NATS_TOKEN_FILE", secrets, (tokens.format(secrets[0]), tokens.format(secrets[1])))


def by_nkey() -> Login:
    old, new = (new_seed(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    users = "authorization {{ users: [{{ nkey: {} }}] }}"
    configs = users.format(public_key(old)), users.format(public_key(new))
    return Login("OUTBOX_NATS_NKEY_SEED_FILE", (old, new), configs)


def by_creds() -> Login:
    operator = Operator()
    old, new = (new_seed(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    configs = operator.config(), operator.config(revoked=old)
    creds = operator.creds(old), operator.creds(new)
    return Login("OUTBOX_NATS_CREDS", creds, configs, restarts=True)


@pytest.mark.parametrize(
    "login", [by_password, pytest.param(by_token, marks=pytest.mark.slow), by_nkey, by_creds]
)
def test_t36_credentials_that_are_changed_are_read_again_and_nothing_is_used_up(
    database: str,
    relay_process: Starter,
    tmp_path: Path,
    account: Callable[..., None],
    login: Callable[[], Login],
) -> None:
    way, file = login(), tmp_path / "secret"
    file.write_text(way.secrets[0], encoding="utf-8")
    named = {way.variable: str(file), **({"OUTBOX_NATS_USER": "relay"} if login is by_password else {})}
    with EmbeddedNats(config=way.configs[0]) as server, outbox_table(database) as table:
        relay = relay_process(OUTBOX_NATS_URL=server.url, OUTBOX_MAX_ATTEMPTS="2", **named, **QUICK)
        fill(table.conn, 20)
        table.wait_until_settled()
        server.reload(way.configs[1])
        if way.restarts:
            server.stop()
            server.start()
        wait_for(lambda: was_refused(relay), 15, "the old secret to be refused")
        fill(table.conn, 20)
        assert table.count() == {"published": 20, "pending": 20}
        began = time.monotonic()
        file.write_text(way.secrets[1], encoding="utf-8")
        table.wait_until_settled()
        account(recover_s=round(time.monotonic() - began, 1), failed=table.count()["failed"])
        assert table.count() == {"published": 40}
        assert not any(row.attempts for row in table.rows())
        assert relay.running
    assert not any(secret in relay.text for secret in way.secrets)


def was_refused(relay: CommandProcess) -> bool:
    """Return whether the server has told the relay that it does not know it."""
    said = relay.records("outage.started") + relay.records("outage.continues")
    return any("uthor" in record["reason"] for record in said)
