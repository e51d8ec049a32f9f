"""When the requests of an open loop are due: a schedule that does not look at the answers."""

from collections.abc import Iterator
from itertools import count
from random import Random

from scout_loadtest.step import Arrival


def due_times(arrival: Arrival, *, rate: float, seed: int) -> Iterator[float]:
    """Yield, without an end, when request 0, 1, 2 ... is due, in seconds since the load began."""
    if arrival is Arrival.POISSON:
        random = Random(f"{seed}/arrivals")
        due_s = 0.0
        while True:
            due_s += random.expovariate(rate)
            yield due_s
    for index in count():
        yield index / rate
