"""The numbers as Prometheus reads them."""

from __future__ import annotations

import platform
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from outbox_notify import __version__
from outbox_notify.observability.catalog import BUILD_INFO, METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric as Family

    from outbox_notify.observability.catalog import Metric
    from outbox_notify.observability.tally import Spread, Tally


class Exposition(Collector):
    """Writes a tally in the format that a scraper asks for, in a registry of its own.

    Args:
        tally: the numbers.
        refresh: called before each writing, for what is only worth knowing then.
    """

    def __init__(self, tally: Tally, refresh: Callable[[], None]) -> None:
        self._tally = tally
        self._refresh = refresh
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def written(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics, and their content type.

        Args:
            accept: header of the request.
        """
        self._refresh()
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[Family]:
        """Yield each metric with its values."""
        for metric in METRICS:
            if metric is BUILD_INFO:
                yield _build_info(metric)
            elif metric.kind == "histogram":
                yield _histogram(metric, self._tally.spreads[metric])
            else:
                yield _numbers(metric, self._tally.values[metric])


def _build_info(metric: Metric) -> Family:
    family = GaugeMetricFamily(metric.full_name, metric.help, labels=metric.labels)
    family.add_metric([__version__, platform.python_version()], 1)
    return family


def _numbers(metric: Metric, values: dict[str, float]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.full_name, metric.help, labels=metric.labels)
    for value, number in values.items():
        family.add_metric([value] if metric.labels else [], number)
    return family


def _histogram(metric: Metric, spreads: dict[str, Spread]) -> Family:
    family = HistogramMetricFamily(metric.full_name, metric.help, labels=metric.labels)
    names = [*(str(bound) for bound in metric.bounds), "+Inf"]
    for value, spread in spreads.items():
        buckets = list(zip(names, map(float, accumulate(spread.counts)), strict=True))
        family.add_metric([value] if metric.labels else [], buckets, spread.total)
    return family
