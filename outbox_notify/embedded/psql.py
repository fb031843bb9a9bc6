"""psql for the servers of a running `make run`: `python -m outbox_notify.embedded.psql FILE [ARGUMENT]`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from outbox_notify.embedded.binaries import postgres_installation


def main(servers_file: Path, arguments: list[str]) -> None:
    """Replace this process by psql.

    Args:
        servers_file: shell lines `export NAME=value`, one of them OUTBOX_DATABASE_URL.
        arguments: what psql gets.
    """
    if not servers_file.exists():
        sys.exit("no servers to connect to: start `make run` in another terminal")
    program = str(postgres_installation(18) / "bin" / "psql")
    os.execve(program, [program, *arguments], {**os.environ, **connection_variables(servers_file)})  # noqa: S606  # ours


def connection_variables(servers_file: Path) -> dict[str, str]:
    """Return libpq's variables: on a command line everybody could read the password."""
    exports = dict(word.split("=", 1) for word in shlex.split(servers_file.read_text("utf-8")) if "=" in word)
    url = urlsplit(exports["OUTBOX_DATABASE_URL"])
    return {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": url.path.lstrip("/"),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
