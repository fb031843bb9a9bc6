"""`make test-mutants`: plant each bug, run the tests that should catch it, and print which one did."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import anyio

from tests.mutants.bug import CodeMovedOn
from tests.mutants.planted import BUGS
from tests.mutants.trial import try_with, try_without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutants.bug import Bug
    from tests.mutants.trial import Trial

_TAIL = 3000


async def run(bugs: Sequence[Bug], jobs: int) -> int:
    """Try all bugs, some at a time; return the exit code."""
    _say(f"{len(bugs)} bugs; first their tests without any")
    sound = await try_without(bugs)
    if sound.exit_code:
        _say(sound.output[-_TAIL:])
        _say("these tests fail without a bug: they prove nothing")
        return 1
    _say(f"all pass, in {sound.seconds:.0f} s")
    trials: dict[str, Trial | CodeMovedOn] = {}
    at_once = anyio.Semaphore(jobs)

    async def try_one(bug: Bug) -> None:
        async with at_once:
            try:
                trials[bug.name] = await try_with(bug)
            except CodeMovedOn as error:
                trials[bug.name] = error
            _say(f"[{len(trials)}/{len(bugs)}] {_line(bug, trials[bug.name])}")

    async with anyio.create_task_group() as tasks:
        for bug in bugs:
            tasks.start_soon(try_one, bug)
    return account(bugs, trials)


def account(bugs: Sequence[Bug], trials: dict[str, Trial | CodeMovedOn]) -> int:
    """Print the table, and why a bug was not caught; return the exit code."""
    missed = [bug for bug in bugs if not _caught_by(trials[bug.name])]
    for bug in missed:
        trial = trials[bug.name]
        _say(f"\n--- {bug.name}\n{trial if isinstance(trial, CodeMovedOn) else trial.output[-_TAIL:]}")
    sys.stdout.write(f"\n{'bug':<44} {'s':>5}  caught by\n")
    for bug in bugs:
        sys.stdout.write(f"{_line(bug, trials[bug.name])}\n")
    sys.stdout.write(f"\n{len(bugs) - len(missed)} of {len(bugs)} planted bugs were caught\n")
    return 1 if missed else 0


def _line(bug: Bug, trial: Trial | CodeMovedOn) -> str:
    if isinstance(trial, CodeMovedOn):
        return f"{bug.name:<44} {'-':>5}  NOT PLANTED: the code has moved on"
    caught_by = trial.caught_by or f"NOT CAUGHT: pytest ended with {trial.exit_code}"
    return f"{bug.name:<44} {trial.seconds:>5.1f}  {caught_by}"


def _caught_by(trial: Trial | CodeMovedOn) -> str | None:
    return None if isinstance(trial, CodeMovedOn) else trial.caught_by


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _chosen(names: list[str], parser: argparse.ArgumentParser) -> list[Bug]:
    known = {bug.name: bug for bug in BUGS}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such bug: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(BUGS)


def main() -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs to try; all when none is named")
    parser.add_argument("--jobs", type=int, default=1, help="how many to try at once")
    parser.add_argument("--list", action="store_true", help="only show their names")
    arguments = parser.parse_args()
    bugs = _chosen(arguments.names, parser)
    if arguments.list:
        sys.stdout.write("".join(f"{bug.name}\n" for bug in bugs))
        return 0
    try:
        return anyio.run(run, bugs, arguments.jobs)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
