"""What the toolkit tells the proxy of the engines' starts: kept here, written as often as it is worth it."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scout_deploy.engines.adapter import StartPhase
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.progress import Tell
from scout_proxy.route_table import Hold, Phase, RouteTable, Trial, Upstream, UpstreamState

# Phases change many times a second, and each table is a copy into a container and a process in it; a client of /status
# looks once a second at most.
_QUIET_S = 1.0


class RouteBoard:
    """Holds the route table of one deployment while it changes.

    Args:
        write: Puts a table where the proxy reads it.
        clock: Monotonic seconds.
    """

    def __init__(self, table: RouteTable, write: Callable[[RouteTable], None], clock: Callable[[], float]) -> None:
        self.table = table
        self._write = write
        self._clock = clock
        self._written_s = float("-inf")
        self._unwritten = False

    def declare(self, upstreams: Iterable[Upstream], hold: Hold | None = None, trial: Trial | None = None) -> None:
        """Tell the proxy of exactly these upstreams, this hold and this trial, at once."""
        self._change(upstreams=tuple(upstreams), hold=hold, trial=trial)
        self.flush()

    def restore(self, table: RouteTable, hold: Hold | None) -> None:
        """Serve this whole table, at once, under a revision of its own."""
        self.table = table.model_copy(update={"revision": self.table.revision + 1, "hold": hold, "trial": None})
        self.flush()

    def state(self, state: UpstreamState, ids: Iterable[str] | None = None) -> None:
        """Set the state of all upstreams, or of these, at once."""
        chosen = None if ids is None else set(ids)
        self._change(
            upstreams=tuple(
                one.model_copy(update={"state": state}) if chosen is None or one.id in chosen else one
                for one in self.table.upstreams
            )
        )
        self.flush()

    def phase(
        self, upstream: str | None, phase: StartPhase, estimate_s: float | None = None, *, at_once: bool = False
    ) -> None:
        """Note the phase of one upstream, or of all; written now, or by `flush_if_due` within a second.

        Args:
            at_once: Write a new one now; for phases in which nobody calls `flush_if_due`.
        """
        before = next((one.phase for one in self.table.upstreams if upstream in {None, one.id}), None)
        told = Phase(name=phase.name, detail=phase.detail, percent=phase.percent, estimate_s=estimate_s)
        self._change(
            upstreams=tuple(
                one.model_copy(update={"phase": told}) if upstream in {None, one.id} else one
                for one in self.table.upstreams
            )
        )
        if at_once and (before is None or before.name != told.name):
            self.flush()
        else:
            self.flush_if_due()

    def failed(self, cause: str) -> None:
        """Tell that no upstream will come, and why, at once."""
        told = Phase(name="failed", detail=cause)
        update = {"state": UpstreamState.FAILED, "phase": told}
        self._change(upstreams=tuple(one.model_copy(update=update) for one in self.table.upstreams))
        self.flush()

    def flush_if_due(self) -> None:
        """Write what is not written yet, unless something was written just now."""
        if self._unwritten and self._clock() - self._written_s >= _QUIET_S:
            self.flush()

    def flush(self) -> None:
        """Write the table now."""
        self._write(self.table)
        self._written_s = self._clock()
        self._unwritten = False

    def _change(self, **update: object) -> None:
        self.table = self.table.model_copy(update={"revision": self.table.revision + 1, **update})
        self._unwritten = True


@dataclass(frozen=True)
class TellBoth:
    """Shows phases to whoever waits for the command, and to the clients of the proxy."""

    tell: Tell
    board: RouteBoard

    def __call__(
        self,
        phase: str,
        detail: str | None = None,
        *,
        percent: float | None = None,
        estimate_s: float | None = None,
        part: str | None = None,
    ) -> None:
        """See `Tell`."""
        self.tell(phase, detail, percent=percent, estimate_s=estimate_s, part=part)
        if phase == "note":
            return
        # A download goes on without the daemon; the next phase is written with this one.
        with contextlib.suppress(DockerUnavailableError):
            self.board.phase(None, StartPhase(name=phase, detail=detail, percent=percent), estimate_s, at_once=True)
