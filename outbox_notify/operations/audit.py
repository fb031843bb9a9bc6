"""The trace of what operators do: who, when, what, to how many events."""

from __future__ import annotations

import getpass
import json
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from outbox_notify.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg


class Act:
    """One act of an operator: a row, written with its first step and counted up with the others.

    Args:
        conn: where its steps are made.
        schema: where the outbox is.
        name: the command, such as `failed requeue`.
        arguments: what it was told; options that were not given are left out.
        number: the row of an act that goes on.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        schema: str,
        name: str,
        arguments: Mapping[str, object],
        number: int | None = None,
    ) -> None:
        self._conn = conn
        self._schema = schema
        self._name = name
        given = {key: value for key, value in arguments.items() if _was_given(value)}
        self._arguments = Jsonb(given, dumps=partial(json.dumps, default=str))
        self.number = number

    def add(self, events: int) -> None:
        """Note a step that touched so many events; to be called in its transaction.

        Raises:
            psycopg.Error: it could not be written.
        """
        if self.number is None:
            self.number = self._begin(events)
        else:
            values = {"id": self.number, "events": events}
            self._conn.execute(query("audit_add", self._schema), values)

    def _begin(self, events: int) -> int:
        values = {
            "client": client(),
            "act": self._name,
            "arguments": self._arguments,
            "events": events,
        }
        [(number,)] = self._conn.execute(query("audit_begin", self._schema), values).fetchall()
        return int(number)


def _was_given(value: object) -> bool:
    return value is not None and value is not False and value != ()


def client() -> str:
    """Return user and host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that has no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
