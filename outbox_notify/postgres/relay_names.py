"""How relays are seen from PostgreSQL: each of their connections says whose it is, in its `application_name`.

Everybody may read that name, so who looks needs no rights, and an idle relay writes nothing to be seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from outbox_notify import __version__

if TYPE_CHECKING:
    from outbox_notify.config.settings import Settings

Kind: TypeAlias = Literal["work", "listen", "lock"]

# PostgreSQL cuts what is longer.
_LONGEST = 63
_LONGEST_SCHEMA, _LONGEST_VERSION, _TAIL = 12, 10, 8
_COMMON = "public"
_NAME = re.compile(r"outbox-notify relay (\S+) ([^\s@]+)(?:@(\S+))? (work|listen|lock)")


class Seen(NamedTuple):
    """A connection of a relay, as its name tells.

    Args:
        version: of the package.
        relay: its id; the middle of a long one is left out.
        schema: of its outbox; the same.
        kind: what the connection is for.
    """

    version: str
    relay: str
    schema: str
    kind: str


def relay_name(settings: Settings, kind: Kind) -> str:
    """Return the `application_name` of a relay's connection."""
    schema = "" if settings.schema == _COMMON else f"@{_abbreviated(settings.schema, _LONGEST_SCHEMA)}"
    before, behind = f"outbox-notify relay {__version__[:_LONGEST_VERSION]} ", f"{schema} {kind}"
    # By the longest kind, so that all connections of a relay tell the same id.
    room = _LONGEST - len(before) - len(schema) - len(" listen")
    return f"{before}{_abbreviated(settings.relay_id, room)}{behind}"


def read_relay_name(name: str) -> Seen | None:
    """Return what an `application_name` tells of a relay; None when it is not one of a relay."""
    found = _NAME.fullmatch(name)
    return found and Seen(found[1], found[2], found[3] or _COMMON, found[4])


def means(shown: str, whole: str) -> bool:
    """Return whether a name that may be abbreviated is that of `whole`."""
    head, cut, tail = shown.partition("~")
    return whole == shown or (bool(cut) and whole.startswith(head) and whole.endswith(tail))


def _abbreviated(text: str, room: int) -> str:
    """Return a text without its middle where there is no room for it: what tells names apart is at their ends."""
    return text if len(text) <= room else f"{text[: room - _TAIL - 1]}~{text[-_TAIL:]}"
