"""Keys and JWTs of NATS, made the way its tools make them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

import nkeys

_UNLIMITED = -1


def new_seed(kind: int) -> str:
    """Return the seed of a fresh key; `kind` is one of `nkeys.PREFIX_BYTE_*`."""
    return bytes(nkeys.encode_seed(os.urandom(32), kind)).decode()


def public_key(seed: str) -> str:
    """Return the public half of a seed."""
    return bytes(nkeys.from_seed(bytearray(seed.encode())).public_key).decode()


class Operator:
    """An operator with a system account and one account for events, which has JetStream without limits."""

    def __init__(self) -> None:
        self._seed = new_seed(nkeys.PREFIX_BYTE_OPERATOR)
        self._account_seed = new_seed(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = public_key(new_seed(nkeys.PREFIX_BYTE_ACCOUNT))
        self._account = public_key(self._account_seed)

    def config(self, *, revoked: str | None = None) -> str:
        """Return a server's configuration; `revoked` is the seed of a user that may not come in any more."""
        revocations = {"revocations": {public_key(revoked): int(time.time()) + 1}} if revoked else {}
        operator = self._jwt(public_key(self._seed), "operator", system_account=self._system)
        system = self._jwt(self._system, "account", limits=_limits())
        limits = _limits(mem_storage=_UNLIMITED, disk_storage=_UNLIMITED, streams=_UNLIMITED)
        account = self._jwt(self._account, "account", limits=limits, **revocations)
        return (
            f"operator: {operator}\nsystem_account: {self._system}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {self._system}: {system}, {self._account}: {account} }}\n"
        )

    def creds(self, user_seed: str) -> str:
        """Return the content of a `.creds` file of a user of the account."""
        user = {"subs": _UNLIMITED, "data": _UNLIMITED, "payload": _UNLIMITED}
        jwt = _signed(self._account_seed, public_key(user_seed), "user", **user)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user_seed}\n------END USER NKEY SEED------\n"
        )

    def _jwt(self, subject: str, kind: str, **claims: Any) -> str:
        return _signed(self._seed, subject, kind, **claims)


def _limits(**limits: int) -> dict[str, Any]:
    everything = ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "consumer")
    return {**dict.fromkeys(everything, _UNLIMITED), "wildcards": True, **limits}


def _signed(issuer_seed: str, subject: str, kind: str, **claims: Any) -> str:
    """Return a JWT of version 2, as `nsc` writes it."""
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": public_key(issuer_seed),
        "name": kind,
        "sub": subject,
        "nats": {**claims, "type": kind, "version": 2},
    }
    body["jti"] = _base32(hashlib.new("sha512_256", _json(body)).digest())
    text = f"{_base64(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_base64(_json(body))}"
    signature = nkeys.from_seed(bytearray(issuer_seed.encode())).sign(text.encode())
    return f"{text}.{_base64(bytes(signature))}"


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _base32(content: bytes) -> str:
    return base64.b32encode(content).rstrip(b"=").decode()
