"""The engines of one plan: created, watched until they serve, proven, and kept; or explained and stopped."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.spec import ContainerSpec
from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnose import diagnose
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.diagnosis.signature import Signature
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.errors import DeployError, DockerUnavailableError, GpuUnavailableError, NameConflictError
from scout_deploy.memory_history import memory_history
from scout_deploy.progress import Tell
from scout_deploy.runtimes.container_failure import UpCommand, failed, keep_evidence
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.container_watch import ContainerWatch, EngineDiedError, last_lines
from scout_deploy.runtimes.docker_errors import DaemonRefusedError, NameTakenError
from scout_deploy.runtimes.engine_memory import measure
from scout_deploy.runtimes.proxy_link import ProxyLink
from scout_deploy.runtimes.route_board import RouteBoard
from scout_deploy.start_history import StartHistory


@dataclass(frozen=True, kw_only=True)
class EngineStart:
    """One start of one set of engines.

    Args:
        signatures: How deaths look, the most specific first.
        settings: What of the profile a diagnosis needs.
        check: Looks into an engine's container that runs, whether it has what it was given.
    """

    runtime: ContainerRuntime
    deployment: ContainerDeployment
    adapter: ContainerEngine
    link: ProxyLink
    board: RouteBoard
    tell: Tell
    signatures: Sequence[Signature]
    settings: EngineSettings
    check: Callable[[ContainerSpec], None] = field(default=lambda _: None)

    def create(self) -> None:
        """Create and start every engine that is not there.

        Raises:
            EngineDiedError: The daemon refused one.
            NameConflictError: Somebody else's container has a name.
            GpuUnavailableError: Another `up` took a GPU meanwhile.
        """
        docker = self.runtime.engine
        for spec in self.deployment.engines:
            try:
                docker.create(spec, network=self.deployment.names.network)
            except NameTakenError as exc:
                raise name_conflict("container", spec.name) from exc
            except DaemonRefusedError as exc:
                raise EngineDiedError(spec.name, Death(exit_code=None, error=exc.reason, phase="start")) from exc
        self._check_gpus_are_ours()
        for spec in self.deployment.engines:
            try:
                docker.start(spec.name)
            except NameTakenError as exc:
                raise name_conflict("container", spec.name) from exc
            except DaemonRefusedError as exc:
                raise EngineDiedError(spec.name, Death(exit_code=None, error=exc.reason, phase="start")) from exc

    def _check_gpus_are_ours(self) -> None:
        """Compare with the engines of others that were created before, as their labels tell, on whatever machine."""
        every = self.runtime.engine.containers(f"{labels.ROLE}=engine")
        names = {spec.name for spec in self.deployment.engines}
        wanted = {index for one in every if one.name in names for index in labels.read_gpus(one.labels)}
        latest = max((one.created_s for one in every if one.name in names), default=0.0)
        for other in every:
            holder = other.labels.get(labels.DEPLOYMENT)
            both = wanted & set(labels.read_gpus(other.labels))
            if holder != self.deployment.name and both and not other.has_ended and other.created_s <= latest:
                raise GpuUnavailableError(
                    f"GPU {min(both)} was taken meanwhile by deployment '{holder}'",
                    next_step="the same command again chooses among the GPUs that are left",
                )

    def wait(self, limit_s: float | None = None) -> float:
        """Wait until the proxy has seen every engine generate; return the seconds that it took.

        Args:
            limit_s: At most so long, where the deployment's own limit is longer.

        Raises:
            EngineDiedError: One will not serve.
        """
        deployment = self.deployment
        if limit_s is not None:
            deployment = deployment.model_copy(update={"start_timeout_s": min(limit_s, deployment.start_timeout_s)})
        watch = ContainerWatch(
            self.runtime.engine,
            deployment,
            self.adapter,
            link=self.link,
            board=self.board,
            tell=self.tell,
            estimate_s=self.estimate_s,
            on_running=self.check,
            on_stall=self._likely_reason,
        )
        watch.run()
        return watch.elapsed_s

    def keep(self, took_s: float) -> None:
        """Let the daemon bring them back from now on.

        Raises:
            EngineDiedError: One ended before it could be kept.
        """
        docker = self.runtime.engine
        for spec in self.deployment.engines:
            docker.restart_always(spec.name)
        # One may have ended just before the policy changed; nothing would start it then.
        self.check_alive()
        self._history.record(self._history_key, took_s)

    def check_alive(self) -> None:
        """Check that none has ended since it served.

        Raises:
            EngineDiedError: One has.
        """
        docker = self.runtime.engine
        for spec in self.deployment.engines:
            if (seen := docker.inspect(spec.name)).has_ended:
                death = Death(
                    exit_code=seen.exit_code,
                    oom_killed=seen.oom_killed,
                    error=seen.error,
                    lines=last_lines(docker, spec.name),
                    was_ready=True,
                )
                raise EngineDiedError(spec.name, death)

    def measure(self) -> None:
        """Keep what the engines really took of their GPUs, for `status` and the next plan, where that can be told."""
        wanted = {spec.name for spec in self.deployment.engines if labels.PLANNED in spec.labels}
        if not wanted:
            return
        with contextlib.suppress(DaemonRefusedError, DockerUnavailableError):
            own = [one for one in self.runtime.look(self.deployment.name).all_engines if one.name in wanted]
            measured = measure(self.runtime.engine, self.adapter, own, time.time())
            memory_history(self.runtime.directories).keep(measured)

    def explain(self, error: EngineDiedError, profile: str, *, replaces: bool = False) -> DeployError:
        """Keep the evidence of a death and return the error that a user sees.

        Args:
            replaces: These engines were to take the place of others, which serve on.
        """
        diagnosis = diagnose(error.death, self.settings, self.signatures)
        folder = self.runtime.directories.evidence / self.deployment.name
        overrides = labels.read_overrides(self.deployment.proxy.labels)
        path = keep_evidence(
            folder,
            container=error.container,
            profile=profile,
            overrides=overrides,
            settings=self.settings,
            death=error.death,
            diagnosis=diagnosis,
        )
        command = UpCommand(profile=profile, name=self.deployment.name, overrides=overrides, replaces=replaces)
        return failed(diagnosis, command=command, evidence_file=path)

    def stop(self, *, remove: bool) -> None:
        """End the engines; the containers stay for `diagnose` unless they are removed."""
        wanted = {spec.name for spec in self.deployment.engines}
        # By label: a name alone may be somebody else's.
        own = [one for one in self.runtime.look(self.deployment.name).all_engines if one.name in wanted]
        for one in own:
            with contextlib.suppress(DaemonRefusedError):
                self.runtime.engine.restart_never(one.id)
        self.runtime.stop_containers(*own, remove=remove)

    @property
    def estimate_s(self) -> float | None:
        """Seconds that the last start of such engines took here; None where there was none."""
        return self._history.last_start_s(self._history_key)

    def _likely_reason(self, silent: Death) -> str | None:
        diagnosis = diagnose(silent, self.settings, self.signatures)
        return None if diagnosis.name == "unknown" else diagnosis.cause

    @property
    def _history(self) -> StartHistory:
        return StartHistory(self.runtime.directories.state / "history" / "starts.json")

    @property
    def _history_key(self) -> str:
        first = self.deployment.engines[0]
        gpus = len(first.gpus.ids) if first.gpus is not None else 0
        return f"{first.image} {self.deployment.weights.path} {gpus} GPUs on {self.runtime.engine.address.url}"


def name_conflict(kind: str, name: str) -> NameConflictError:
    """Say that somebody else's thing has a name that we need."""
    listing = {"container": "docker ps -a", "network": "docker network ls", "volume": "docker volume ls"}[kind]
    return NameConflictError(
        f"a {kind} named '{name}' is already there, and it is not this deployment's; it is left alone",
        next_step=f"scout-deploy up --name OTHER, or rename or remove that {kind} ({listing})",
    )
