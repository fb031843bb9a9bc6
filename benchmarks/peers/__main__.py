"""`python -m benchmarks.peers`: other relays, ours and a bare loop drain the same backlog in turn."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.errors import BenchmarkError
from benchmarks.interrupt import end_by_signals
from benchmarks.peers.comparison import Series
from benchmarks.peers.contenders import EVERYBODY
from benchmarks.peers.run import Plan
from benchmarks.progress import Progress
from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.comparison import Comparison
    from benchmarks.peers.contenders import Contender


def main() -> int:
    """Compare and print what came of it; return 1 when our own relay is missing from it."""
    given = _parser().parse_args()
    end_by_signals()
    progress = Progress()
    plan = Plan(given.events, given.aggregates, given.limit)
    try:
        with progress.shown():
            comparison = Series(given.only, plan, progress).take(given.runs)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    except (BenchmarkError, OutboxError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    _print(comparison, given.json)
    return 0 if comparison.complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="in the backlog of each run")
    parser.add_argument("--aggregates", type=int, default=10_000, help="that they belong to")
    parser.add_argument("--runs", type=int, default=3, help="of each relay, in turn")
    parser.add_argument("--limit", type=float, default=30, help="seconds after which a run is cut off")
    names = ", ".join(f'"{contender.name}"' for contender in EVERYBODY)
    parser.add_argument("--only", type=_contenders, default=EVERYBODY, metavar="RELAY;...", help=names)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    return parser


def _contenders(text: str) -> Sequence[Contender]:
    names = [name.strip() for name in text.split(";")]
    known = {contender.name: contender for contender in EVERYBODY}
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no such relay: {'; '.join(unknown)}")
    return [known[name] for name in names]


def _print(comparison: Comparison, file: Path | None) -> None:
    sys.stdout.writelines(f"{line}\n" for line in comparison.as_table())
    if file is not None:
        file.write_text(json.dumps(comparison.as_json(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
