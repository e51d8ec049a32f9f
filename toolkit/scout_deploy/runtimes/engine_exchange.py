"""One exchange of engines, old for new, step by step: beside them, or in their place while requests wait."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.observation import image_digest
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.errors import DeployError, ReplaceFailedError
from scout_deploy.progress import Tell
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.engine_gate import EngineGate, TrialTarget, new_trial
from scout_deploy.runtimes.engine_start import EngineStart
from scout_deploy.runtimes.proxy_link import ProxyLink
from scout_deploy.runtimes.proxy_wait import wait_idle, wait_serving
from scout_deploy.runtimes.route_board import RouteBoard
from scout_proxy.route_table import Hold, RouteTable, Upstream, UpstreamState

_DRAIN_MARGIN_S = 10.0
OLD_START_S = 600.0
# Of the way back: the new engines end first.
WAY_BACK_MARGIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One exchange of engines, old for new.

    Args:
        old: Their containers.
        before: The route table that was served before; its upstreams are the old ones.
        url: Of the API, while they are exchanged.
        gate: What the new ones have to pass; None where their proof is enough.
        taken_over_s: Seconds in which the proxy takes over a table.
    """

    runtime: ContainerRuntime
    old: tuple[ObservedContainer, ...]
    before: RouteTable
    new: ContainerDeployment
    board: RouteBoard
    start: EngineStart
    link: ProxyLink
    tell: Tell
    max_hold_s: float
    url: str
    gate: EngineGate | None = None
    taken_over_s: float = 10.0

    def blue_green(self) -> None:
        """Start the new ones beside the old, then let them serve in their place."""
        old, new = self.before.upstreams, self.new.upstreams()
        self.tell("start", f"{len(new)} new engine(s) beside the old")
        self.board.declare((*old, *in_state(new, UpstreamState.STANDBY)))
        self.start.create()
        took_s = self.start.wait()
        self._pass_gate()
        self.start.keep(took_s)
        self.tell("switch", "new requests go to the new engines")
        self._serve_new(leaving=old)
        self.tell("drain", "the old engines finish what they have")
        self._drained(timeout_s=self._drain_s)

    def hold_and_swap(self) -> None:
        """Let requests wait, end the old ones, start the new ones, and let them serve."""
        old, new = self.before.upstreams, self.new.upstreams()
        # One budget for all of it: a request that waits does not care which part took so long.
        began_s = time.monotonic()
        deadline_s = began_s + self.max_hold_s
        hold = Hold(max_wait_s=self.max_hold_s, estimate_s=self.start.estimate_s)
        self.tell("hold", f"new requests wait, at most {self.max_hold_s:g} s")
        self.board.declare(in_state(old, UpstreamState.DRAINING), hold)
        self.tell("drain", "the old engines finish what they have")
        if not self._drained(timeout_s=min(self._drain_s, self.max_hold_s)):
            raise ReplaceFailedError("the old engines did not finish their requests in time")
        self.tell("stop", "the old engines free their GPUs")
        self.runtime.stop_containers(*self.old, remove=False)
        self.tell("start", f"{len(new)} new engine(s)")
        self.board.declare(in_state(new, UpstreamState.STANDBY), hold)
        self.start.create()
        took_s = self.start.wait(limit_s=max(0.0, deadline_s - time.monotonic()))
        # Should they not pass, the requests that wait by then have to wait for the old ones too, whose start takes as
        # long as this one did.
        self._pass_gate(hold, until_s=began_s + self._longest_wait_s - took_s - WAY_BACK_MARGIN_S)
        self.start.keep(took_s)
        self.tell("switch", "the waiting requests go to the new engines")
        self._serve_new(leaving=())

    def finish(self) -> None:
        """Forget the old engines."""
        self.board.declare(in_state(self.new.upstreams(), UpstreamState.RUNNING))
        self.runtime.stop_containers(*self.old)

    def go_back(self) -> bool:
        """Let the old engines serve, started again where they were stopped, and remove the new ones.

        May be broken off and done again.

        Returns:
            Whether the proxy has seen them serve; where not, they go on starting.
        """
        serve = True
        was_stopped = [one.name for one in self.old if not self.runtime.engine.inspect(one.name).is_running]
        if was_stopped:
            # The GPUs are needed first.
            self.start.stop(remove=True)
            for name in was_stopped:
                self.runtime.engine.start(name)
        hold = self.board.table.hold
        self.board.restore(self.before, hold)
        if was_stopped or hold is not None:
            ids = [one.id for one in self.before.upstreams]
            timeout_s = min(OLD_START_S, self.max_hold_s)
            serve = wait_serving(self.link, ids, self.board.table.revision, timeout_s=timeout_s)
            self.board.restore(self.before, None)
        self.start.stop(remove=True)
        return serve

    def _pass_gate(self, hold: Hold | None = None, *, until_s: float | None = None) -> None:
        """Have the new engines measured, which serve nobody yet.

        Raises:
            EngineDiedError: One ended meanwhile.
            DeployError: They do not pass, or there is no time to find out.
        """
        if self.gate is None:
            return
        left_s = None if until_s is None else until_s - time.monotonic()
        if left_s is not None and left_s < self.gate.shortest_s:
            raise ReplaceFailedError(
                "no time is left to measure the new engines: requests wait for at most "
                f"{self._longest_wait_s:g} s, and the way back to the old engines has to fit in as well",
                next_step="a longer update/max_hold_s and proxy/limits/deadline_s, or free GPUs for --set "
                "update.mode=blue-green",
            )
        trial, headers = new_trial((one.id for one in self.new.upstreams()), self.new.routes.template)
        self.board.declare(self.board.table.upstreams, hold, trial)
        if not wait_idle(self.link, (), self.board.table.revision, timeout_s=self.taken_over_s):
            raise ReplaceFailedError(
                f"the proxy has not let the new engines be tried within {self.taken_over_s:g} s, as one of an older "
                "version does not",
                next_step="the same command without --gate, which exchanges the proxy too",
            )
        first = self.runtime.engine.inspect(self.new.engines[0].name)
        target = TrialTarget(
            url=self.url, headers=headers, deployment=self.new, image_digest=image_digest(first), left_s=left_s
        )
        try:
            self.gate.check(target, self.tell)
        except DeployError:
            self.start.check_alive()
            raise

    @property
    def _longest_wait_s(self) -> float:
        """How long a request that is held may wait, from its arrival."""
        return min(self.max_hold_s, self.before.limits.deadline_s)

    def _serve_new(self, leaving: tuple[Upstream, ...]) -> None:
        self.board.restore(
            self.new.routes.model_copy(
                update={
                    "upstreams": (
                        *in_state(self.new.upstreams(), UpstreamState.RUNNING),
                        *in_state(leaving, UpstreamState.DRAINING),
                    )
                }
            ),
            None,
        )

    def _drained(self, *, timeout_s: float) -> bool:
        ids = [one.id for one in self.before.upstreams]
        return wait_idle(self.link, ids, self.board.table.revision, timeout_s=timeout_s)

    @property
    def _drain_s(self) -> float:
        return self.before.limits.deadline_s + _DRAIN_MARGIN_S


def in_state(upstreams: Iterable[Upstream], state: UpstreamState) -> tuple[Upstream, ...]:
    """Return them, declared to be in this state."""
    return tuple(one.model_copy(update={"state": state}) for one in upstreams)
