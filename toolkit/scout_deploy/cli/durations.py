"""Times as people say them."""

_MINUTE_S = 60
_HOURS_A_DAY = 24


def duration(seconds: float) -> str:
    """Return such as `2 d 3 h`, `5 min 3 s` or `12 s`."""
    minutes, rest = divmod(int(max(0.0, seconds)), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    days, hours = divmod(hours, _HOURS_A_DAY)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
