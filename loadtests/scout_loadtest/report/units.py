"""Numbers as they are read: as many digits as they are good for, and their unit."""

from datetime import UTC, datetime

NOTHING = "–"
_THIN = "\N{NARROW NO-BREAK SPACE}"


def number(value: float | None) -> str:
    """Return three significant digits at least, thousands apart: `0.123`, `12.3`, `1,234`."""
    if value is None:
        return NOTHING
    size = abs(value)
    digits = 0 if size >= 100 or value == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Return a time with the unit in which it is short: `3.42 ms`, `342 ms`, `34.2 s`."""
    if value is None:
        return NOTHING
    return f"{number(value)}{_THIN}ms" if value < 10_000 else f"{number(value / 1000)}{_THIN}s"


def share(value: float | None) -> str:
    """Return a percentage that never rounds to all or to none what is not: 0.9999 is `>99.9 %`."""
    if value is None:
        return NOTHING
    percent = value * 100
    if 0 < percent < 0.1:
        return f"<0.1{_THIN}%"
    if 99.9 < percent < 100:
        return f">99.9{_THIN}%"
    return f"{percent:.1f}".removesuffix(".0") + f"{_THIN}%"


def per_second(value: float | None, what: str = "") -> str:
    """Return a rate: `8.25/s`, or with what it counts `8.25 requests/s`."""
    return NOTHING if value is None else f"{number(value)}{f' {what}' if what else ''}/s"


def clock(seconds: float) -> str:
    """Return a moment of a run: `1:05`, `1:02:03`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(epoch_s: float) -> str:
    """Return a date and time in UTC."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M} UTC"


def counted(count: int, what: str) -> str:
    """Return a count with its noun: `1 request`, `1,204 requests`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
