"""`python -m benchmarks`: measure, and show what comes out beside what it has to be."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cases import CASES
from benchmarks.errors import BenchmarkError
from benchmarks.interrupt import end_by_signals
from benchmarks.machine import busy, machine
from benchmarks.plan import Plan
from benchmarks.progress import Progress
from benchmarks.report import as_json, print_table
from benchmarks.stage import Stage
from outbox_notify.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Findings


def main() -> int:
    """Measure what was asked for; return 1 when something could not be measured."""
    given = _parser().parse_args()
    end_by_signals()
    progress = Progress()
    try:
        with progress.shown(), Stage(given.postgres, progress) as stage:
            about = machine(stage)
            if busy(about):
                progress.say(
                    f"something else runs here (load {about['load']}): these figures will say little"
                )
            findings = _measure(stage, Plan(given.runs, given.quick), given.only, progress)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    except (BenchmarkError, OutboxError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    print_table(findings, about)
    _write(as_json(findings, about), given.json, given.plots)
    return 0


def _write(document: dict[str, Any], file: Path | None, plots: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if plots is not None:
        from benchmarks.plots import draw  # noqa: PLC0415  # only this needs matplotlib

        draw(document, plots)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=_cases, default=list(CASES), metavar="CASE,...", help=", ".join(CASES))
    parser.add_argument("--runs", type=int, default=3, help="how often each figure is taken")
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything: shows that it works")
    parser.add_argument("--postgres", type=int, choices=[16, 18], default=18, help="version of PostgreSQL")
    parser.add_argument("--json", type=_file, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--plots", type=_folder, metavar="FOLDER", help="draw them, with the extra `bench`")
    return parser


def _cases(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CASES]:
        raise argparse.ArgumentTypeError(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    return names


def _file(text: str) -> Path:
    """Refuse what cannot be written before an hour is spent."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path.parent} is not a folder")
    return path


def _folder(text: str) -> Path:
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError("plots need matplotlib: pip install 'outbox-notify[bench]'")
    return _file(text)


def _measure(stage: Stage, plan: Plan, names: Sequence[str], progress: Progress) -> dict[str, Findings]:
    findings = {}
    for name in names:
        progress.case(name)
        findings[name] = CASES[name](stage, plan)
    return findings


if __name__ == "__main__":
    sys.exit(main())
