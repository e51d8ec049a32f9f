"""`up` plans first: what the arithmetic says cannot work is refused before anything is pulled or started."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from scout_deploy.engines.container_engine import PlannedEngine
from scout_deploy.errors import DeployError, GpuUnavailableError
from scout_deploy.fit.correction import Correction
from scout_deploy.fit.gpu_kind import of_driver
from scout_deploy.fit.measured_start import MeasuredStart, Planned
from scout_deploy.fit.model import FitModel
from scout_deploy.fit.verdict import gb
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.plan_gpus import GpusToPlan
from scout_deploy.profile.engine import Model
from scout_deploy.profile.profile import Profile
from scout_deploy.progress import Tell


@dataclass(frozen=True, kw_only=True)
class FitCheck:
    """Holds a profile against the GPUs that its replicas are to get.

    Args:
        find: Returns what is known of a model; see `ModelLookup.find`.
        insists: Whether the user wants to start it whatever the plan says.
        box: The machine whose GPUs are meant.
        starts: What earlier starts really took, on this box and on others.
        cpu: Returns the CPU of the box, for a profile that computes on it; it may raise `DeployError`.
    """

    profile: Profile
    profile_name: str
    adapter: PlannedEngine
    find: Callable[[Model], FitModel | None]
    insists: bool = False
    box: str = ""
    starts: tuple[MeasuredStart, ...] = ()
    cpu: Callable[[], GpusToPlan] | None = None

    def check(self, replicas: Sequence[Sequence[Gpu]], tell: Tell, *, leaving: Collection[int] = ()) -> None:
        """Refuse what cannot work; tell what is tight or cannot be said.

        Args:
            replicas: The GPUs of each.
            leaving: GPUs whose present user stops before the new engines start, so that what it holds does not count.

        Raises:
            GpuUnavailableError: It does not fit, or not with this context.
        """
        if not any(replicas):
            self._check_cpu(tell)
            return
        try:
            planner = self.planner()
        except DeployError as exc:
            # What is wrong with it, its download or the engine will say; a plan must not stand in the way.
            tell("note", f"whether the model fits is not known: {exc.message}")
            return
        corrections = set()
        for gpus in replicas:
            plan = on_driver(planner, gpus, leaving)
            if plan is None:
                tell("note", "whether the model fits is not known: the driver does not say how large its GPUs are")
                return
            if plan.correction not in corrections:
                corrections.add(plan.correction)
                for note in correction_notes(plan.correction):
                    tell("note", note)
            self.judge(plan, tell)

    def _check_cpu(self, tell: Tell) -> None:
        if not self.profile.hardware.cpu_only or self.cpu is None:
            return
        try:
            planner, box = self.planner(), self.cpu()
        except DeployError as exc:
            tell("note", f"whether the model fits is not known: {exc.message}")
            return
        plan = on_cpu(planner, box)
        if plan.works or self.insists:
            self.judge(plan, tell)
            return
        # What is in use now may be given back before the engine needs it, as by the one that it replaces.
        self.judge(on_cpu(planner, box, is_idle=True), tell)
        tell("note", f"the plan says that this works only where others give memory back: {plan.reason}")

    def planned(
        self, replicas: Sequence[Sequence[Gpu]], *, leaving: Collection[int] = ()
    ) -> tuple[Planned | None, ...]:
        """Return what the plan says of each replica, to be held against its start; None where it says nothing."""
        if not any(replicas):
            return (None,) * len(replicas)
        try:
            planner = self.planner()
        except DeployError:
            return (None,) * len(replicas)
        plans = (on_driver(planner, gpus, leaving) for gpus in replicas)
        return tuple(None if plan is None else plan.planned for plan in plans)

    def planner(self) -> Planner:
        """Return what plans the profile on this box.

        Raises:
            DeployError: The model cannot be looked up.
        """
        return Planner(
            profile=self.profile,
            model=self.find(self.profile.model),
            adapter=self.adapter,
            box=self.box,
            starts=self.starts,
        )

    def judge(self, plan: FitPlan, tell: Tell) -> None:
        """Refuse what cannot work, unless the user insists; tell what is tight or cannot be said.

        Raises:
            GpuUnavailableError: It cannot work.
        """
        if plan.answer == "fits":
            return
        if plan.works or self.insists:
            tell("note", plan.reason if plan.works else f"started although the plan says no: {plan.reason}")
            return
        raise GpuUnavailableError(f"the plan says that this cannot work: {plan.reason}", next_step=self.advice)

    @property
    def advice(self) -> str:
        """What helps where the plan says no."""
        return f"scout-deploy plan --profile {self.profile_name} says what would do; up --force starts it all the same"


def correction_notes(correction: Correction) -> Iterator[str]:
    """Say what a plan counts because of earlier starts, and which of them it left out."""
    if correction.starts and correction.size:
        more = "more" if correction.size > 0 else "less"
        yield f"the plan counts {gb(abs(correction.size))} {more} on each GPU, {correction.origin}"
    if correction.left_out is not None:
        yield correction.left_out


def on_cpu(planner: Planner, box: GpusToPlan, *, is_idle: bool = False) -> FitPlan:
    """Plan one replica on a machine's CPU.

    Args:
        is_idle: Whether what others hold of its memory is left out.
    """
    (cpu,) = box.of_replica(planner.profile)
    return planner.on((replace(cpu, held_bytes=0) if is_idle else cpu,))


def on_driver(planner: Planner, gpus: Sequence[Gpu], leaving: Collection[int]) -> FitPlan | None:
    """Plan one replica on GPUs that a driver reported; None where it does not say how large they are.

    Args:
        leaving: GPUs whose present user stops before the new engines start, so that what it holds does not count.
    """
    free = [replace(gpu, memory_used_bytes=0) if gpu.index in leaving else gpu for gpu in gpus]
    known = of_driver(free)
    return None if known is None else planner.on(known)
