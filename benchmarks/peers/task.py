"""What the runner tells a driver, and how a driver obeys. Runs in the peers' environment: standard library only."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = "OUTBOX"
PREFIX = "events"
TENANT = "bench"
EVENT_TYPE = "stock.moved"
SUBJECT = f"{PREFIX}.{TENANT}.{EVENT_TYPE}"
_VARIABLE = "BENCH_TASK"


@dataclass(frozen=True)
class Task:
    """Where the servers are, and how the peer is to be set.

    Args:
        database_url: of a database with a table `backlog` of what is to be written: n, which is the order,
            aggregate, and body, which is JSON.
        nats_url: of a server with the stream.
        settings: of the peer, in its own words.
    """

    database_url: str
    nats_url: str
    settings: dict[str, Any]

    @classmethod
    def received(cls) -> Self:
        """Return the task of this process."""
        return cls(**json.loads(os.environ[_VARIABLE]))

    def environment(self) -> dict[str, str]:
        """Return what a driver's environment must hold; its arguments would show the password."""
        return {_VARIABLE: json.dumps(asdict(self))}


def obey(prepare: Callable[[Task], None], drain: Callable[[Task], None]) -> None:
    """Do what the command line says: `prepare` writes the backlog, `drain` publishes until it is stopped."""
    {"prepare": prepare, "drain": drain}[sys.argv[1]](Task.received())
