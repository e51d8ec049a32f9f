"""Makes a profile ready to run in containers: its images, its weights, its GPUs, and the plan of them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scout_deploy.container_draft import Wish, draft, planned, with_predictions
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.spec import ContainerSpec
from scout_deploy.diagnosis.diagnose import all_signatures, diagnose
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.diagnosis.docker import IMAGE_NOT_FOUND
from scout_deploy.diagnosis.from_settings import engine_settings
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.errors import LockDifferenceError
from scout_deploy.fit_check import FitCheck
from scout_deploy.gpu_placement import Box, GpuPlacement, has_room_beside, place
from scout_deploy.gpus.access import verify_inside
from scout_deploy.gpus.inventory import Inventory
from scout_deploy.model_sources import ModelSource
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.progress import Tell
from scout_deploy.proxy_image.context import build_context
from scout_deploy.proxy_settings import ProxySettings, proxy_settings
from scout_deploy.runtimes.container_failure import UpCommand, failed
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.docker_errors import NameTakenError, NotThereError
from scout_deploy.runtimes.engine_start import EngineStart
from scout_deploy.runtimes.images import Images, PullRefusedError
from scout_deploy.runtimes.route_board import RouteBoard
from scout_deploy.served_model import ServedModel

_LIST_GPUS = ("nvidia-smi", "-L")


class GpuSource(Protocol):
    """Knows the GPUs of the Docker host."""

    def __call__(self, image: str) -> Inventory:
        """Return them; `image` is the engine's, for a host that can only be asked from inside a container."""
        ...


@dataclass(frozen=True, kw_only=True)
class ContainerPreparation:
    """One wish on one Docker host; see `runtimes.preparation.Preparation`."""

    wish: Wish
    runtime: ContainerRuntime
    adapter: ContainerEngine
    images: Images
    model: ModelSource
    read_gpus: GpuSource
    fit: FitCheck
    _placed: dict[str, GpuPlacement] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self.wish.name

    @property
    def profile(self) -> str:
        """The profile, as the user named it."""
        return self.wish.profile_name

    @property
    def settings(self) -> Mapping[str, str]:
        """The profile, flattened."""
        return flatten_settings(self.wish.profile, self.wish.version)

    @property
    def proxy_settings(self) -> ProxySettings:
        """What a running proxy takes over as it runs."""
        return proxy_settings(self.wish.profile, self.wish.secrets)

    @property
    def secret_files(self) -> Mapping[str, str]:
        """What lies beside the route table, by name."""
        return self.wish.secrets.files

    @property
    def host(self) -> str:
        """The address that the API is published on."""
        return self.wish.profile.proxy.host

    @property
    def port(self) -> int:
        """The port of the API."""
        return self.wish.profile.proxy.port

    @property
    def max_hold_s(self) -> float:
        """Seconds that a request waits at most while engines are exchanged."""
        return self.wish.profile.update.max_hold_s

    def fetch(self, tell: Tell) -> ServedModel:
        """Fetch the weights alone, where the engines will have them."""
        if not self.runtime.engine.address.is_local:
            # A container of it fetches there.
            self._provide_proxy(tell)
        return self.model.provide(tell)

    def pin_changes(self, seen: ContainerObservation) -> tuple[str, ...]:
        """See `Preparation.pin_changes`."""
        return self.wish.pins.changes(seen)

    def runs_beside(self, seen: ContainerObservation) -> bool:
        """See `Preparation.runs_beside`: the profile's word, else whether GPUs are free."""
        mode = self.wish.profile.update.mode
        if mode != "auto":
            return mode == "blue-green"
        image = self.images.resolve(seen.engines[0].image)
        return has_room_beside(self.wish.profile, self.model.expect().facts, self._box(image))

    def sketch(self, generation: int, seen: ContainerObservation, tell: Tell, *, beside: bool) -> ContainerDeployment:
        """See `Preparation.sketch`."""
        expected = self.model.expect()
        sketch = draft(self.wish, self.adapter, expected, generation)
        for remark in sketch.remarks:
            tell("note", remark)
        if self.runtime.engine.address.is_local:
            # Another host tells its GPUs only from inside the engine's image.
            box = self._box(sketch.engines[0].image)
            leaving = _leaving(seen, beside=beside)
            placed = place(self.wish.profile, expected.facts, box, leaving=leaving)
            self.fit.check(placed.gpus, tell, leaving=leaving)
        image = self._provide_proxy(tell)
        return sketch.model_copy(update={"proxy": sketch.proxy.model_copy(update={"image": image}).with_fingerprint()})

    def plan(
        self, sketch: ContainerDeployment, seen: ContainerObservation, tell: Tell, *, beside: bool
    ) -> ContainerDeployment:
        """See `Preparation.plan`."""
        engine_image = self._pull_pinned(sketch.engines[0].image, tell)
        model = self.model.provide(tell)
        leaving = _leaving(seen, beside=beside)
        placed = place(self.wish.profile, model.facts, self._box(engine_image), leaving=leaving)
        if not self.runtime.engine.address.is_local:
            self.fit.check(placed.gpus, tell, leaving=leaving)
        for remark in placed.remarks:
            tell("note", remark)
        plan = planned(
            self.wish,
            self.adapter,
            model,
            placed.placement,
            proxy_image=sketch.proxy.image,
            engine_image=engine_image,
            generation=sketch.generation,
        )
        self._placed[plan.engines[0].name] = placed
        return with_predictions(plan, self.fit.planned(placed.gpus, leaving=leaving))

    def start(self, deployment: ContainerDeployment, board: RouteBoard, tell: Tell) -> EngineStart:
        """See `Preparation.start`."""
        return EngineStart(
            runtime=self.runtime,
            deployment=deployment,
            adapter=self.adapter,
            link=self.runtime.link_to(deployment.name, deployment.host, deployment.port),
            board=board,
            tell=tell,
            signatures=all_signatures(self.adapter.signatures()),
            settings=self._settings_of(deployment.engines[0]),
            check=lambda spec: self._check_gpus(deployment, spec),
        )

    def _provide_proxy(self, tell: Tell) -> str:
        own = self.wish.profile.proxy
        if own.image is None:
            return self.images.provide_proxy(build_context(own.base_image), tell)
        return self._pull(own.image, tell)

    def _pull_pinned(self, reference: str, tell: Tell) -> str:
        pulled = self._pull(reference, tell, self.wish.pins.image(reference))
        if changed := self.wish.pins.other_image(pulled, self.images.id_of(pulled)):
            raise LockDifferenceError(
                "the engine's image is not the one of the lock:",
                next_step="get that image onto the Docker host, or lock what is there: "
                f"scout-deploy lock --profile {self.profile}",
                evidence=changed,
            )
        return pulled

    def _pull(self, reference: str, tell: Tell, wanted: str | None = None) -> str:
        try:
            return self.images.provide(reference, tell, wanted)
        except PullRefusedError as exc:
            settings = engine_settings(self.settings, image=exc.reference, gpu_count=0)
            diagnosis = diagnose(exc.death, settings, all_signatures(self.adapter.signatures()))
            command = UpCommand(profile=self.profile, name=self.name, overrides=self.wish.overrides)
            error = failed(diagnosis, command=command, evidence_file=None)
            if diagnosis.name == IMAGE_NOT_FOUND and "@" in exc.reference:
                error.next_step = self._without_digest(is_locked=wanted is not None)
            error.next_step = error.next_step or f"docker pull {exc.reference} on the Docker host tries it alone"
            raise error from exc

    def _without_digest(self, *, is_locked: bool) -> str:
        load = "bring that image onto the Docker host (docker load, or pull --import), or "
        if is_locked:
            return f"{load}lock what its name means now: scout-deploy lock --profile {self.profile}"
        # The name meant it at its first pull.
        return f"{load}remove its line from {self.images.history.path}, which makes up pull what its name means now"

    def _box(self, image: str) -> Box:
        docker = self.runtime.engine
        inventory = Inventory() if self.wish.profile.hardware.cpu_only else self.read_gpus(image)
        return Box(host=docker.facts(), inventory=inventory, taken=self.runtime.taken_gpus())

    def _settings_of(self, engine: ContainerSpec) -> EngineSettings:
        gpu_count = len(engine.gpus.ids) if engine.gpus is not None else 0
        return engine_settings(self.settings, image=engine.labels[labels.IMAGE], gpu_count=gpu_count)

    def _check_gpus(self, deployment: ContainerDeployment, spec: ContainerSpec) -> None:
        if spec.gpus is None or spec.gpus.vendor != "nvidia":
            return
        placed = self._placed.get(deployment.engines[0].name)
        if placed is not None and spec.replica is not None:
            try:
                listing = self.runtime.engine.exec(spec.name, _LIST_GPUS).output
            except (NameTakenError, NotThereError):
                # It ended meanwhile; whoever watches it says why.
                return
            verify_inside(listing, placed.gpus[spec.replica])


def _leaving(seen: ContainerObservation, *, beside: bool) -> list[int]:
    return [] if beside else [one for each in seen.all_engines for one in labels.read_gpus(each.labels)]
