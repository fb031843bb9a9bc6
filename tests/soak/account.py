"""What a soak has shown: the account, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.soak.evidence import Bites
    from tests.support.checker import Verdict


@dataclass(frozen=True)
class Account:
    """How a soak ended.

    Args:
        seed: that chose its faults.
        seconds: for which faults were done.
        stream: "batches allowed" or "plain".
        distance: of NATS, seconds one way.
        verdict: of the checker.
        vanished: events whose durable commit was confirmed, and that are not in the table any more.
        problems: what relays did that they never should.
        committed: events in the table.
        undone: events whose commit was confirmed without waiting for the disk, and that a crash took back.
        messages: in the stream.
        reclaims: events taken over from an expired lease.
        fenced: outcomes that came too late to be written.
        recover_s: from the last fault until nothing was left to do.
        bites: of each kind of fault.
        logs: where logs are kept; None when all is well.
    """

    seed: int
    seconds: float
    stream: str
    distance: float
    verdict: Verdict
    vanished: Sequence[str]
    problems: Sequence[str]
    committed: int
    undone: int
    messages: int
    reclaims: int
    fenced: int
    recover_s: float
    bites: Mapping[str, Bites]
    logs: Path | None = None

    @property
    def zeros(self) -> dict[str, int]:
        """What has to be zero."""
        counted = {item.name: len(getattr(self.verdict, item.name)) for item in fields(self.verdict)}
        counted["stuck"] = counted.pop("unfinished")
        return {**counted, "vanished": len(self.vanished), "problems": len(self.problems)}

    @property
    def all_well(self) -> bool:
        """Whether they are."""
        return not any(self.zeros.values())

    @property
    def harmless(self) -> list[str]:
        """The kinds of fault that nobody has felt, or that were not done at all."""
        return [kind for kind, bites in self.bites.items() if not bites.felt]

    def as_json(self) -> dict[str, Any]:
        """Return the account as it is printed with --json."""
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "stream": self.stream,
            "distance": self.distance,
            **self._figures(),
            **self.zeros,
            "faults": {
                kind: {"times": bites.times, "felt": bites.felt} for kind, bites in self.bites.items()
            },
            "not_felt": self.harmless,
            "what": list(self.problems),
            "logs": str(self.logs) if self.logs else None,
        }

    def as_table(self) -> list[str]:
        """Return the account as lines."""
        rows = [("fault", "times", "felt")]
        rows += [(kind, str(bites.times), str(bites.felt)) for kind, bites in self.bites.items()]
        lines = [f"{kind:<28}{times:>6}{felt:>6}" for kind, times, felt in rows]
        lines += ["", *(f"{name:<28}{value:>12}" for name, value in self._figures().items())]
        lines += ["", *(f"{name:<28}{value:>12}" for name, value in self.zeros.items())]
        lines += [f"not {'felt' if self.bites[kind].times else 'done'}: {kind}" for kind in self.harmless]
        lines += self.problems
        lines += [f"logs are kept in {self.logs}"] if self.logs else []
        return [*lines, f"seed {self.seed}: {'all well' if self.all_well else 'NOT WELL'}"]

    def _figures(self) -> dict[str, float]:
        names = ("committed", "undone", "messages", "reclaims", "fenced", "recover_s")
        return {name: getattr(self, name) for name in names}
