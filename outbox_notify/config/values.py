"""The kinds of values that settings can have: each reads a text, or raises ValueError with the rule it broke.

Texts of errors never repeat the value: the loader does, unless the setting is a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@]*)(:(\d{0,5}))?")
_ADDRESSES = re.compile(r",(?=\s*[a-z]+://)")
# In a URL a value ends with the next `&`; among pairs with a blank, unless that is quoted or escaped.
_IN_QUERY = re.compile(r"(?i)(password\s*=\s*)([^\s&]*)")
_IN_PAIRS = re.compile(r"(?is)(password\s*=\s*)('(?:[^'\\]|\\.)*'?|(?:[^\s\\]|\\.)*)")
_ENCODE = "in user and password, write @ : / ? # % as %40 %3A %2F %3F %23 %25"


class Kind(NamedTuple):
    """How a setting is written: what help shows for its value, and the functions that read and write it."""

    metavar: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def text(pattern: str, rule: str, metavar: str = "TEXT") -> Kind:
    """Return a kind that takes what matches the whole pattern; `rule` says it in words."""
    compiled = re.compile(pattern)

    def read(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(rule)
        return value

    return Kind(metavar, read)


def choice(*options: str) -> Kind:
    """Return a kind that takes one of the options, in any case."""

    def read(value: str) -> str:
        if value.lower() not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value.lower()

    return Kind("|".join(options), read)


def boolean() -> Kind:
    """Return a kind that takes true or false."""
    word = choice("true", "false")
    return Kind(word.metavar, lambda value: word.read(value) == "true", lambda value: str(value).lower())


def integer(least: int, most: int) -> Kind:
    """Return a kind that takes whole numbers of a range, both ends included."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return Kind("NUMBER", read)


def duration(least: str, most: str) -> Kind:
    """Return a kind that takes durations such as `500ms`, `5s`, `2m`, `24h` or `7d`, and gives seconds."""

    def read(value: str) -> float:
        seconds = _scaled(value, _SECONDS)
        if seconds is None or not _limit(least) <= seconds <= _limit(most):
            raise ValueError(
                f"must be a duration from {least} to {most}, with its unit: 500ms, 5s, 2m, 24h or 7d"
            )
        return seconds

    return Kind(
        "DURATION", read, lambda value: _unscaled(value * 1000, {"h": 3600_000, "m": 60_000, "s": 1000}, "ms")
    )


def size(least: str, most: str) -> Kind:
    """Return a kind that takes sizes such as `65536`, `16MB` or `16MiB`, and gives bytes."""

    def read(value: str) -> int:
        wanted = _scaled(value, _BYTES)
        if wanted is None or not (_scaled(least, _BYTES) or 0) <= wanted <= (_scaled(most, _BYTES) or 0):
            raise ValueError(f"must be a size from {least} to {most}: 65536, 512KiB or 16MB")
        return int(wanted)

    return Kind("SIZE", read, lambda value: _unscaled(value, {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}, ""))


def address_or_off() -> Kind:
    """Return a kind that takes `host:port`, or `off`, which gives None."""

    def read(value: str) -> str | None:
        if value.lower() == "off":
            return None
        host, _, port = value.rpartition(":")
        if not host or not _HOST.fullmatch(value) or not port or int(port) > 65535:
            raise ValueError("must be host:port, such as 127.0.0.1:9464 or [::1]:9464, or off")
        return value

    return Kind("HOST:PORT|off", read, lambda value: value or "off")


def postgres_url() -> Kind:
    """Return a kind that takes what libpq takes: a URL or `key=value` pairs."""

    def read(value: str) -> str:
        if "://" not in value and "=" in value:
            return value
        _check_url(value, ("postgresql", "postgres"), "postgresql://user:password@host:5432/dbname")
        return value

    return Kind("URL", read)


def nats_url() -> Kind:
    """Return a kind that takes one NATS address or several, parted by commas."""

    def read(value: str) -> str:
        for address in value.split(","):
            _check_url(address.strip(), ("nats", "tls"), "nats://host:4222 or tls://host:4222")
        return value

    return Kind("URL[,URL...]", read)


def _check_url(value: str, schemes: tuple[str, ...], example: str) -> None:
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in schemes or re.search(r"[\s\x00-\x1f\x7f]", rest):
        raise ValueError(f"must look like {example}")
    # An unencoded `@` or `/` in a password moves part of it into the host, port or path, which errors show.
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    hosts = authority.rpartition("@")[2].split(",")
    if rest.partition("?")[0].count("@") > 1 or "@" in rest[len(authority) :].partition("?")[0]:
        raise ValueError(f"has more than one @: {_ENCODE}")
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError(f"has a port that is not a number: {_ENCODE}")


def _scaled(value: str, units: dict[str, Any]) -> float | None:
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", value)
    if not match:
        return None
    number, unit = float(match[1]), match[2].lower()
    if number == 0 and not unit:
        return 0.0
    return number * units[unit] if unit in units else None


def _unscaled(number: float, units: dict[str, int], smallest: str) -> str:
    number = round(number, 6)  # seconds times 1000 are not always whole where they should be
    for unit, factor in units.items():
        if number and number % factor == 0:
            return f"{number / factor:.0f}{unit}"
    return f"{number:f}".rstrip("0").rstrip(".") + smallest


def _limit(value: str) -> float:
    return _scaled(value, _SECONDS) or 0.0


def mask_urls(value: str) -> str:
    """Return a URL, several URLs or `key=value` pairs with everything that may be a secret shown as `***`."""
    masked = ",".join(map(_mask_url, _ADDRESSES.split(value)))
    return _password(value).sub(r"\1***", masked)


def passwords(value: str) -> list[str]:
    """Return the passwords and tokens in URLs or `key=value` pairs, as written and decoded."""
    from urllib.parse import unquote  # noqa: PLC0415  # only for processes that log; keeps `--help` quick

    parts = _ADDRESSES.split(value)
    found = [word for part in parts for word in re.findall(r"://[^:@/?#]*:(.*)@", part)]
    found += [word for part in parts for word in re.findall(r"\b(?:nats|tls)://([^:@/?#]+)@", part)]
    found += [word.strip("'") for _, word in _password(value).findall(value)]
    unescaped = [re.sub(r"\\(.)", r"\1", word) for word in found]
    return [*found, *unescaped, *map(unquote, found)]


def _password(value: str) -> re.Pattern[str]:
    """Return what finds passwords by their name, as PostgreSQL reads them."""
    return _IN_QUERY if "://" in value else _IN_PAIRS


def _mask_url(url: str) -> str:
    # To the last `@`: an unencoded one in a password must leave nothing behind. A NATS user alone is a token.
    masked = re.sub(r"://([^:@/?#]*):.*@", r"://\1:***@", url)
    return re.sub(r"\b(nats|tls)://[^:@/?#\s]+@", r"\1://***@", masked)
