"""Spares the garbage collector what stays for as long as the process: modules, classes, FastAPI's routes."""

import gc

# Objects of requests are freed as soon as nobody has them; what is left for the collector are the cycles of
# connections, some twenty objects each. Python looks for them after 700 new objects, and through all that is not frozen
# after 70,000.
_YOUNG_OBJECTS = 10_000
_YOUNG_ROUNDS = 10
_OLD_ROUNDS = 10


def settle_memory() -> None:
    """Put everything that is there now out of the collector's sight, and have it look less often."""
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _YOUNG_ROUNDS, _OLD_ROUNDS)
