"""The load of a gate: short, the same each time, and as long as there is time for. Pure."""

from scout_loadtest.step import Arrival, Load

USERS_PER_ENGINE = 4
_WARM_UP_S = 2.0
DURATION_S = 10.0
_REQUEST_TIMEOUT_S = 60.0
# Of what sends the requests: its start, with all that it imports, and its end; three seconds where nothing else runs.
_AROUND_S = 10.0
_LEAST_ROOM_S = 6.0
# Where time is short: the rest is for answers that have begun.
_WARM_UP_SHARE, _DURATION_SHARE = 0.1, 0.5
SHORTEST_S = _AROUND_S + _LEAST_ROOM_S


def gate_load(engines: int, left_s: float | None, duration_s: float = DURATION_S) -> Load:
    """Return the load for so many engines.

    Its prompts are new to every cache, and streamed, so that each request has all the quantities that a target can
    bind. `Load.request_timeout_s` is what is left for the last answers.

    Args:
        left_s: Seconds in which all of it has to be over, `SHORTEST_S` at least; None for no limit.
        duration_s: Of the measured time, where there is enough.
    """
    room_s = float("inf") if left_s is None else left_s - _AROUND_S
    warm_up_s = min(_WARM_UP_S, _WARM_UP_SHARE * room_s)
    measured_s = min(duration_s, _DURATION_SHARE * room_s)
    return Load(
        arrival=Arrival.CLOSED,
        users=USERS_PER_ENGINE * engines,
        warm_up_s=warm_up_s,
        duration_s=measured_s,
        request_timeout_s=min(_REQUEST_TIMEOUT_S, room_s - warm_up_s - measured_s),
        mix={"streamed": 1.0},
    )


def is_cut_short(load: Load) -> bool:
    """Tell whether answers had less time than they get where nobody waits."""
    return load.request_timeout_s < _REQUEST_TIMEOUT_S
