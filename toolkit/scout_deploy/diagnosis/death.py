"""How an engine's container ended."""

from dataclasses import dataclass

SIGNAL_BASE = 128
LAST_SIGNAL = 64


@dataclass(frozen=True, kw_only=True)
class Death:
    """How an engine container ended, or that it never got ready. What a matcher may look at.

    Args:
        exit_code: None while it still runs (never ready, or stalled), and where it was never created.
        oom_killed: Docker's `State.OOMKilled`.
        error: Docker's `State.Error`, or the daemon's refusal to pull, create or start it.
        lines: Its last log lines, oldest first, without Docker's timestamps; up to 200.
        phase: The start-up phase that it was in: `download`, `load`, `warm-up`, `ready` and so on.
        was_ready: It served before.
        timed_out: It was not ready in time.
        silent_s: Seconds without a log line or a byte, where it stalled.
    """

    exit_code: int | None
    oom_killed: bool = False
    error: str = ""
    lines: tuple[str, ...] = ()
    phase: str | None = None
    was_ready: bool = False
    timed_out: bool = False
    silent_s: float | None = None

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the main process, from an exit status of 128 and more."""
        if self.exit_code is None or not SIGNAL_BASE < self.exit_code <= SIGNAL_BASE + LAST_SIGNAL:
            return None
        return self.exit_code - SIGNAL_BASE
