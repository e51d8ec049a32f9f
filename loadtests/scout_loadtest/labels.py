"""How loads and service levels are called wherever a reader meets them."""

from scout_loadtest.figures import Targets
from scout_loadtest.step import Arrival, Load


def load_label(load: Load) -> str:
    """Return a load as a reader knows it: `8 users`, `2.5/s Poisson`."""
    if load.arrival is Arrival.CLOSED:
        return f"{load.users} user{'' if load.users == 1 else 's'}"
    return f"{load.rate or 0:.4g}/s {'Poisson' if load.arrival is Arrival.POISSON else 'constant'}"


def targets_label(targets: Targets) -> str:
    """Return the service level as it is read: `TTFT ≤ 500 ms, TPOT ≤ 50 ms`, or `none`."""
    parts = [
        f"{name} ≤ {value:g} ms"
        for name, value in (("TTFT", targets.ttft_ms), ("TPOT", targets.tpot_ms), ("end to end", targets.e2e_ms))
        if value is not None
    ]
    return ", ".join(parts) or "none"
