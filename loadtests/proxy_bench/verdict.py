"""What a row of the goals' table came to."""

from dataclasses import dataclass, field

from proxy_bench.window import Series


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One goal.

    Args:
        value: As it is printed.
        is_met: None where it could not be measured; `note` says why.
    """

    what: str
    goal: str
    value: str
    is_met: bool | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A row: its goals, and the series that they were judged by."""

    key: str
    title: str
    verdicts: tuple[Verdict, ...]
    series: tuple[Series, ...] = field(default=())


def at_least_ratio(what: str, ours: Series, theirs: Series, goal: float) -> Verdict:
    """Judge a ratio of rates. A void side leaves a bound, which can still decide.

    A generator that could not saturate a server shows it slower than it is: where that was the other's, the ratio is
    at most what is shown, where it was ours, at least.
    """
    ratio = ours.value / theirs.value
    is_reached = ratio >= goal
    is_met: bool | None = is_reached
    notes = []
    if ours.is_void and theirs.is_void:
        is_met = None
        notes.append("void: the generator was saturated before both servers")
    elif ours.is_void:
        is_met = True if is_reached else None
        notes.append(f"void: the generator was saturated before {ours.server}, so the ratio is at least that")
    elif theirs.is_void:
        is_met = None if is_reached else False
        notes.append(f"void: the generator was saturated before {theirs.server}, so the ratio is at most that")
    if ours.cost_us and theirs.cost_us:
        notes.append(f"by processor time of a request {_ratio_text(theirs.cost_us / ours.cost_us)}")
    return Verdict(
        what=what,
        goal=f"at least {goal:g} {'of' if goal < 1 else 'times'} {theirs.server}",
        value=_ratio_text(ratio),
        is_met=is_met,
        note="; ".join(notes),
    )


def at_most(what: str, value: float, goal: float, unit: str, *, note: str = "", void: str = "") -> Verdict:
    """Judge a value with an upper bound.

    Args:
        void: Why it cannot be judged, where it cannot.
    """
    return Verdict(
        what=what,
        goal=f"at most {goal:g} {unit}",
        value=f"{value:.3g} {unit}" if abs(value) < 100 else f"{value:.0f} {unit}",
        is_met=None if void else value <= goal,
        note="; ".join(filter(None, [void and f"void: {void}", note])),
    )


def void_reason(*series: Series) -> str:
    """Why nothing can be judged by these, or nothing."""
    names = [one.server for one in series if one.is_void]
    return f"the generator was saturated before {' and '.join(names)}" if names else ""


def unmeasured(what: str, goal: str, note: str) -> Verdict:
    """A goal for which there is no number, and why."""
    return Verdict(what=what, goal=goal, value="-", is_met=None, note=note)


def _ratio_text(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"
