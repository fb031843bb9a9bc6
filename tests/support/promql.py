"""What PromQL expressions name: metrics with the labels that are asked of them, held against the catalog."""

from __future__ import annotations

import re

from outbox_notify.observability.catalog import METRICS, Metric

# What Prometheus adds to every series, and what each process of prometheus_client shows.
OF_SCRAPES = {"job", "instance"}
OF_OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
_SELECTOR = re.compile(r"\b(outbox_notify_\w+|process_\w+|up)\b\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


def series() -> dict[str, Metric]:
    """Return every series that a relay shows by its name; a histogram has three."""
    found: dict[str, Metric] = {}
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        found |= {metric.full_name + ending: metric for ending in endings}
    return found


def named(expression: str) -> set[str]:
    """Return the names of the metrics in an expression, those of others included."""
    return {name for name, _ in _SELECTOR.findall(expression)}


def problems(expression: str) -> list[str]:
    """Return what is wrong with an expression, as far as the catalog tells."""
    selectors = _SELECTOR.findall(expression)
    found = [problem for name, matchers in selectors for problem in _of_selector(name, matchers)]
    groups = [label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")]
    known = set().union(*(_labels(name) for name, _ in selectors))
    return found + [f"nothing has a label {label}" for label in groups if label not in known]


def _of_selector(name: str, matchers: str) -> list[str]:
    metric, found = series().get(name), []
    if metric is None and name not in OF_OTHERS:
        found.append(f"{name} is no metric")
    for label, operator, value in _MATCHER.findall(matchers):
        if label not in _labels(name):
            found.append(f"{name} has no {label}")
        elif metric and label in metric.labels and operator in {"=", "!="} and not _may_be(metric, value):
            found.append(f"{name} has no {label} {value}")
    return found


def _labels(name: str) -> set[str]:
    metric = series().get(name)
    bucket = {"le"} if metric and name.endswith("_bucket") else set()
    return {*OF_SCRAPES, *bucket, *(metric.labels if metric else ())}


def _may_be(metric: Metric, value: str) -> bool:
    return not metric.values or value in metric.values
