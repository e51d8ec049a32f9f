"""What the supervisor sees and what it tells the proxy, kept in two files."""

import logging
from collections.abc import Callable

from scout_deploy.deployment import (
    DeploymentSpec,
    DeploymentState,
    DeploymentStatus,
    Exit,
    Failure,
    PhaseRecord,
    ProcessStatus,
)
from scout_deploy.deployment_store import DeploymentStore
from scout_deploy.engines.adapter import StartPhase
from scout_deploy.errors import StateError
from scout_deploy.processes import ProcessIdentity
from scout_deploy.proxy_settings import ProxySettings, settings_of
from scout_proxy.route_table import Phase, RouteTable, Upstream, UpstreamState, write_route_table

logger = logging.getLogger(__name__)


class StatusBoard:
    """Holds the status and the route table; each change is written at once.

    A disk that refuses does not stop the supervision: `flush` tries again.

    Args:
        now: Wall clock, seconds since the epoch.
    """

    def __init__(
        self, store: DeploymentStore, spec: DeploymentSpec, supervisor: ProcessIdentity, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._now = now
        self._unwritten = False
        self.status = DeploymentStatus(
            state=DeploymentState.STARTING,
            supervisor=supervisor,
            started_s=now(),
            processes=(ProcessStatus(role="proxy"), ProcessStatus(role="engine")),
        )
        self.routes: RouteTable = spec.routes
        self.flush()

    def process_started(self, role: str, identity: ProcessIdentity | None) -> None:
        """A process of this role runs now."""
        self._set_process(role, identity=identity)

    def process_ended(self, role: str, last_exit: Exit) -> None:
        """The process of this role ended."""
        self._set_process(role, identity=None, last_exit=last_exit)
        if self.status.state is DeploymentState.READY:
            self._set(state=DeploymentState.RECOVERING)

    def process_restarts(self, role: str) -> None:
        """The process of this role is about to be started again."""
        self._set_process(role, restarts=self._process(role).restarts + 1)

    def upstream(self, url: str, state: UpstreamState, phase: Phase | None = None) -> None:
        """Declare the engine to the proxy."""
        upstream = Upstream(id="engine", url=url, state=state, phase=phase)
        self.routes = self.routes.model_copy(update={"revision": self.routes.revision + 1, "upstreams": (upstream,)})
        self.flush()

    def phase(self, phase: StartPhase, estimate_s: float | None) -> None:
        """Note the engine's phase here and in the route table."""
        # Every start begins with its own first phase, so what is kept never outgrows one start.
        earlier = () if phase.name in {one.name for one in self.status.phases} else self.status.phases
        record = PhaseRecord(name=phase.name, detail=phase.detail, began_s=self._now())
        self._set(phases=(*earlier, record))
        if self.routes.upstreams:
            told = Phase(name=phase.name, detail=phase.detail, estimate_s=estimate_s)
            self.upstream(self.engine_url, self.routes.upstreams[0].state, told)

    def configure(self, settings: ProxySettings) -> None:
        """Hand on what the proxy takes over as it runs."""
        if settings_of(self.routes) != settings:
            self.routes = settings.on(self.routes.model_copy(update={"revision": self.routes.revision + 1}))
            self.flush()

    @property
    def engine_url(self) -> str:
        """Where the engine listens, or will; there is one from its first start on."""
        return self.routes.upstreams[0].url

    def settle(self, *, serving: bool) -> None:
        """After a death: ready again, if both serve and the deployment had been ready."""
        if serving and self.status.state is DeploymentState.RECOVERING:
            self.ready()

    def ready(self) -> None:
        """Everything serves."""
        ready_s = self.status.ready_s or self._now()
        # The table first: whoever reads the state may rely on what the proxy is told.
        self.upstream(self.engine_url, UpstreamState.RUNNING)
        self._set(state=DeploymentState.READY, ready_s=ready_s, failure=None)

    def failed(self, failure: Failure) -> None:
        """The start failed, or the engine was given up; the proxy goes on answering 503."""
        if self.routes.upstreams:
            self.upstream(self.engine_url, UpstreamState.FAILED, Phase(name="failed", detail=failure.cause))
        self._set(state=DeploymentState.FAILED, failure=failure)

    def stopping(self) -> None:
        """The deployment is being taken down."""
        self._set(state=DeploymentState.STOPPING)

    def flush(self) -> None:
        """Write both files; what cannot be written is tried again at the next call."""
        try:
            write_route_table(self._store.routes, self.routes)
            self._store.write_status(self.status)
        except (StateError, OSError) as exc:
            if not self._unwritten:
                logger.warning("the state cannot be written, going on without: %s", exc)
            self._unwritten = True
        else:
            self._unwritten = False

    @property
    def unwritten(self) -> bool:
        """Whether the files are behind."""
        return self._unwritten

    def _process(self, role: str) -> ProcessStatus:
        return next(process for process in self.status.processes if process.role == role)

    def _set_process(self, role: str, **changes: object) -> None:
        processes = tuple(
            process.model_copy(update=changes) if process.role == role else process for process in self.status.processes
        )
        self._set(processes=processes)

    def _set(self, **changes: object) -> None:
        self.status = self.status.model_copy(update=changes)
        self.flush()
