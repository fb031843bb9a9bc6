"""`python -m tests.soak`: a soak from the command line; exit code 1 unless all is well."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.soak.run import Options, soak

if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run a soak and print its account."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="for how long faults are done")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; chosen and printed otherwise")
    parser.add_argument("--plain-stream", action="store_true", help="a stream that does not allow batches")
    parser.add_argument("--postgres", type=int, choices=[16, 18], default=18, help="version of PostgreSQL")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the logs also when all is well")
    given = parser.parse_args()
    seed = int(time.time()) % 1_000_000 if given.seed is None else given.seed
    # It tells of rollbacks that fail with their connection, which is what happens here all the time.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        account = soak(Options(given.seconds, seed, not given.plain_stream, given.postgres, given.keep))
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; seed {seed}\n")
        return 130
    text = json.dumps(account.as_json()) if given.json else "\n".join(account.as_table())
    sys.stdout.write(f"{text}\n")
    return 0 if account.all_well else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, also when started in the background of a shell, which ignores it.

    What is cleaned up then takes a few seconds, which a second signal must not cut short.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
