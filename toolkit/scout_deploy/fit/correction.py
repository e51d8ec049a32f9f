"""What earlier starts on a box teach of the next one. Pure."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scout_deploy.fit.measured_start import MeasuredStart, Setting

Kin = Literal["these settings", "this model", "other models"]

# Of a GPU's memory, and of what the embedded engine was to take: a difference beyond is no error of an estimate.
# Something else had the memory, or a file was exchanged. Five times what `verdict` allows for.
MOST_OF_GPU = 0.15
MOST_OF_PROCESS = 0.25
_NEWEST = 5


@dataclass(frozen=True, kw_only=True)
class Correction:
    """How much more an engine takes here than the arithmetic says.

    Args:
        size: Bytes; negative where it takes less.
        starts: How many starts it is from; 0 where there is none to learn from.
        newest_s: When the newest of them was measured, seconds since the epoch.
        kin: Of what they were.
        ignored: Starts on this box that were left out, because they differ beyond reason.
    """

    size: int = 0
    starts: int = 0
    newest_s: float = 0.0
    kin: Kin = "these settings"
    ignored: int = 0

    @property
    def origin(self) -> str:
        """Where it is from, for a person."""
        starts = f"{self.starts} start{'s' if self.starts != 1 else ''}"
        return f"measured on this box on {self.newest_day}, {starts} of {self.kin}"

    @property
    def newest_day(self) -> str:
        """The day of the newest start, in UTC."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.newest_s))

    @property
    def left_out(self) -> str | None:
        """What was ignored and why, for a person; None where nothing was."""
        if not self.ignored:
            return None
        starts = "1 start" if self.ignored == 1 else f"{self.ignored} starts"
        return f"{starts} measured on this box left out: too far from the arithmetic to be an error of it"


NO_CORRECTION = Correction()


def correction_of(setting: Setting, starts: Iterable[MeasuredStart], *, most_bytes: float) -> Correction:
    """Return what the starts at the same place teach: those of the same settings, else model, else of any model.

    The median of the newest five counts, so that one odd start changes little.

    Args:
        most_bytes: A difference beyond this is ignored.
    """
    here = [one for one in starts if one.setting.place == setting.place and one.excess is not None]
    sane = [one for one in here if abs(one.excess or 0) <= most_bytes]
    kin, chosen = _nearest(setting, sane)
    ignored = len(here) - len(sane)
    if not chosen:
        return Correction(ignored=ignored)
    newest = sorted(chosen, key=lambda one: one.at_s)[-_NEWEST:]
    return Correction(
        size=int(statistics.median(one.excess or 0 for one in newest)),
        starts=len(newest),
        newest_s=newest[-1].at_s,
        kin=kin,
        ignored=ignored,
    )


def _nearest(setting: Setting, starts: Sequence[MeasuredStart]) -> tuple[Kin, Sequence[MeasuredStart]]:
    model = [one for one in starts if one.setting.checkpoint == setting.checkpoint]
    same = [one for one in model if one.setting.choices == setting.choices]
    if same:
        return "these settings", same
    return ("this model", model) if model else ("other models", starts)
