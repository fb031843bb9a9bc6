"""Pictures of what was measured: `python -m benchmarks.plots out.json FOLDER`, or `--plots FOLDER` with the run.

Only this module knows matplotlib, which comes with the extra `bench`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

_OURS, _BARE, _OTHERS = "#0b6e8a", "#9aa3ab", ("#d1793b", "#7a5aa6")
_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.grid": True,
    "grid.color": "#e4e7ea",
    "axes.axisbelow": True,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    # The same figures give the same file.
    "svg.hashsalt": "outbox-notify",
}


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what a document holds, each plot as SVG and as PNG; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context(_STYLE):
        for case, (name, paint) in _PLOTS.items():
            if case in document["cases"]:
                canvas = Canvas(figsize=(7.2, 3.6), layout="constrained")
                paint(canvas.add_subplot(), document["cases"][case])
                drawn += _save(canvas, folder / name)
    return drawn


def _save(canvas: Canvas, path: Path) -> list[Path]:
    vector, pixels = path.with_suffix(".svg"), path.with_suffix(".png")
    canvas.savefig(vector, metadata={"Date": None})
    canvas.savefig(pixels, dpi=160)
    return [vector, pixels]


def _throughput(axes: Axes, case: dict[str, Any]) -> None:
    rates = [figure for figure in case["figures"] if figure["unit"] == "events/s"]
    names = [figure["what"].removeprefix("drain, ") for figure in rates]
    medians = [figure["median"] for figure in rates]
    spread = [
        [figure["median"] - figure["min"] for figure in rates],
        [figure["max"] - figure["median"] for figure in rates],
    ]
    colors = [_BARE if "bare" in name else _OURS for name in names]
    bars = axes.barh(
        names, medians, xerr=spread, color=colors, height=0.6, error_kw={"ecolor": "#333", "lw": 1}
    )
    axes.bar_label(bars, [f"{median:,.0f}" for median in medians], label_type="center", color="white")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("events/s")
    axes.set_title("Draining a backlog, one relay, default settings")


def _latency(axes: Axes, case: dict[str, Any]) -> None:
    samples = case["samples"]
    ordered = sorted(ms for values in samples.values() for ms in values)
    # The slowest few would leave no room for all others.
    end = ordered[int(len(ordered) * 0.995)]
    for (name, values), color in zip(samples.items(), (_BARE, _OURS), strict=True):
        axes.hist(values, bins=60, range=(0, end), color=color, alpha=0.75, label=name)
    axes.set_xlabel("ms from commit to subscriber")
    axes.set_ylabel("events")
    axes.legend()
    axes.set_title("Latency of single events, idle")


def _pending(axes: Axes, case: dict[str, Any]) -> None:
    for values in case["curves"].values():
        axes.plot(*zip(*values, strict=True), color=_OURS, marker="o")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _from_zero(axes, "events/s")
    axes.set_xlabel("events pending")
    axes.set_title("Rate over a growing backlog")


def _snapshot(axes: Axes, case: dict[str, Any]) -> None:
    for name, values in case["curves"].items():
        axes.plot(*zip(*values, strict=True), color=_BARE if "bare" in name else _OURS, label=name)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _from_zero(axes, "events/s")
    axes.set_xlabel("events published so far")
    axes.legend()
    axes.set_title("Rate while somebody else holds a snapshot")


def _writers(axes: Axes, case: dict[str, Any]) -> None:
    for (name, values), color in zip(case["curves"].items(), (_BARE, _OURS, *_OTHERS), strict=True):
        axes.plot(*zip(*values, strict=True), color=color, marker="o", label=name)
    numbers = [number for number, _ in next(iter(case["curves"].values()))]
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    _from_zero(axes, "commits/s")
    axes.set_xlabel("writers")
    axes.legend()
    axes.set_title("What writers notice of the trigger")


def _from_zero(axes: Axes, unit: str) -> None:
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel(unit)


# By the case that it needs: name of the file, and how it is painted.
_PLOTS: dict[str, tuple[str, Callable[[Axes, dict[str, Any]], None]]] = {
    "drain": ("throughput", _throughput),
    "idle": ("latency", _latency),
    "pending": ("pending", _pending),
    "snapshot": ("snapshot", _snapshot),
    "writers": ("writers", _writers),
}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    draw(json.loads(source.read_text(encoding="utf-8")), target)
