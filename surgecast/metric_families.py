"""What every exporter does with counts by one label."""

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)


def by_label(family: _Family, counts: Mapping[str, float]) -> _Family:
    """Return a family that has one label, with the count of each of its values, in their order."""
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
