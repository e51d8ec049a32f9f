"""Counters and distributions for the path that answers tens of thousands of requests a second on one core.

prometheus_client's own look their labels up and take a lock on each change, since any thread may make one. Here the
event loop alone makes changes, so a change is an addition to an attribute of a handle that was got once; only the
exposition is prometheus_client's, which reads all of it when it is asked.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
Reading = float | Mapping[Labels, float]


class Count:
    """A number that is changed in place: `count.value += 1`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Distribution:
    """How many values fell under each bound, and their sum.

    Args:
        bounds: Upper bounds in rising order, each belonging to its bucket; what is above the last is counted too.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        # bisect compares floats with floats faster than with integers.
        self._bounds = tuple(map(float, bounds))
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Add one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def sum(self) -> float:
        """Of all values."""
        return self._sum

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as Prometheus writes it, and how many values are not above it."""
        bounds = map(floatToGoString, (*self._bounds, float("inf")))
        return list(zip(bounds, accumulate(self._counts), strict=True))


class _Family(ABC):
    def __init__(self, name: str, documentation: str, labels: Labels) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels

    @abstractmethod
    def collect(self) -> Metric:
        """Return every sample of this moment."""


_Handle = TypeVar("_Handle", Count, Distribution)


class _Labelled(_Family, Generic[_Handle]):
    def __init__(self, name: str, documentation: str, labels: Labels) -> None:
        super().__init__(name, documentation, labels)
        self._handles: dict[Labels, _Handle] = {}

    @abstractmethod
    def _make(self) -> _Handle: ...

    def at(self, *values: str) -> _Handle:
        """Return the handle for these values of the labels, the same one each time."""
        handle = self._handles.get(values)
        if handle is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}, got {values}")
            handle = self._handles[values] = self._make()
        return handle

    def forget(self, label: str, values: Collection[str]) -> None:
        """Drop every series in which `label` has one of these values."""
        index = self._labels.index(label)
        for labels in [labels for labels in self._handles if labels[index] in values]:
            del self._handles[labels]


class Counts(_Labelled[Count]):
    """A counter for each value of its labels."""

    def _make(self) -> Count:
        return Count()

    def collect(self) -> Metric:
        """Return every counter."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in self._handles.items():
            family.add_metric(labels, count.value)
        return family


class Distributions(_Labelled[Distribution]):
    """A histogram for each value of its labels, all with the same bounds."""

    def __init__(self, name: str, documentation: str, labels: Labels, bounds: Sequence[float]) -> None:
        super().__init__(name, documentation, labels)
        self._bounds = bounds

    def _make(self) -> Distribution:
        return Distribution(self._bounds)

    def collect(self) -> Metric:
        """Return every histogram."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, distribution in self._handles.items():
            family.add_metric(labels, distribution.buckets, distribution.sum)
        return family


class _Readings(_Family):
    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Labels,
        *,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        read: Callable[[], Reading],
    ) -> None:
        super().__init__(name, documentation, labels)
        self._kind = kind
        self._read = read

    def collect(self) -> Metric:
        family = self._kind(self._name, self._documentation, labels=self._labels)
        reading = self._read()
        for labels, value in (reading if isinstance(reading, Mapping) else {(): reading}).items():
            family.add_metric(labels, value)
        return family


class Instruments(Collector):
    """Makes the instruments of one registry; names as Prometheus wants them, a counter's without `_total`."""

    def __init__(self) -> None:
        self._families: list[_Family] = []

    def counts(self, name: str, documentation: str, *labels: str) -> Counts:
        """Make counters."""
        family = Counts(name, documentation, labels)
        self._families.append(family)
        return family

    def distributions(self, name: str, documentation: str, *labels: str, bounds: Sequence[float]) -> Distributions:
        """Make histograms."""
        family = Distributions(name, documentation, labels, bounds)
        self._families.append(family)
        return family

    def read_gauge(self, name: str, documentation: str, *labels: str, read: Callable[[], Reading]) -> None:
        """Call `read` whenever the gauge is asked for; it gives a number, or one for each value of the labels."""
        self._families.append(_Readings(name, documentation, labels, kind=GaugeMetricFamily, read=read))

    def read_counter(self, name: str, documentation: str, *labels: str, read: Callable[[], Reading]) -> None:
        """Do the same for a number that only grows."""
        self._families.append(_Readings(name, documentation, labels, kind=CounterMetricFamily, read=read))

    def collect(self) -> Iterable[Metric]:
        """Return every family of this moment."""
        return [family.collect() for family in self._families]
