"""`up` plans first: what the arithmetic says cannot work is refused before anything is pulled or started."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from scout_deploy.engines.container_engine import PlannedEngine
from scout_deploy.errors import DeployError, GpuUnavailableError
from scout_deploy.fit.gpu_kind import of_driver
from scout_deploy.fit.model import FitModel
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.profile.engine import Model
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Tell


@dataclass(frozen=True, kw_only=True)
class FitCheck:
    """Holds a profile against the GPUs that its replicas are to get.

    Args:
        find: Returns what is known of a model; see `ModelLookup.find`.
        insists: Whether the user wants to start it whatever the plan says.
    """

    profile: Profile
    profile_name: str
    adapter: PlannedEngine
    find: Callable[[Model], FitModel | None]
    insists: bool = False

    def check(self, replicas: Sequence[Sequence[Gpu]], tell: Tell, *, leaving: Collection[int] = ()) -> None:
        """Refuse what cannot work; tell what is tight or cannot be said. On a CPU there is nothing to say.

        Args:
            replicas: The GPUs of each.
            leaving: GPUs whose present user stops before the new engines start, so that what it holds does not count.

        Raises:
            GpuUnavailableError: It does not fit, or not with this context.
        """
        if not any(replicas):
            return
        try:
            model = self.find(self.profile.model)
        except DeployError as exc:
            # What is wrong with it, its download or the engine will say; a plan must not stand in the way.
            tell("note", f"whether the model fits is not known: {exc.message}")
            return
        planner = Planner(profile=self.profile, model=model, adapter=self.adapter)
        for gpus in replicas:
            free = [replace(gpu, memory_used_bytes=0) if gpu.index in leaving else gpu for gpu in gpus]
            known = of_driver(free)
            if known is None:
                tell("note", "whether the model fits is not known: the driver does not say how large its GPUs are")
                return
            self._judge(planner.on(known), tell)

    def _judge(self, plan: FitPlan, tell: Tell) -> None:
        if plan.answer == "fits":
            return
        if plan.works or self.insists:
            tell("note", plan.reason if plan.works else f"started although the plan says no: {plan.reason}")
            return
        raise GpuUnavailableError(
            f"the plan says that this cannot work: {plan.reason}",
            next_step=f"scout-deploy plan --profile {self.profile_name} says what would do; "
            "up --force starts it all the same",
        )
