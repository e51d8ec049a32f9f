"""A profile held against GPUs: what its engine refuses, whether the model fits, and what would do instead. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scout_deploy.engines.container_engine import Accelerator, EngineContainer, EngineRequest, PlannedEngine
from scout_deploy.errors import ProfileError
from scout_deploy.fit.correction import MOST_OF_GPU, NO_CORRECTION, Correction, correction_of
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import KNOWN, PlanGpu, PlanVendor, describe
from scout_deploy.fit.measured_start import GpuPrediction, MeasuredStart, Planned, Setting
from scout_deploy.fit.model import FitModel
from scout_deploy.fit.verdict import MARGIN, Verdict, allowed_splits, judge_fit, split_problem
from scout_deploy.profile.profile import Profile

PlanAnswer = Literal["fits", "tight", "no", "unknown"]

_MOST_GPUS = 8
_ACCELERATORS: dict[PlanVendor, Accelerator] = {"nvidia": "nvidia", "amd": "amd", "cpu": "intel-cpu"}


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What is known beforehand of one replica on its GPUs.

    Args:
        reason: One sentence, or a line for each thing that the engine refuses.
        verdict: None where the arithmetic says nothing: the model is not known, or cannot be split so.
        remarks: What a user should know beforehand.
        is_about_memory: Whether other GPUs would change a refusal.
        setting: What is planned where, for whoever measures it; None where there is no verdict.
    """

    answer: PlanAnswer
    reason: str
    gpus: tuple[PlanGpu, ...]
    verdict: Verdict | None = None
    remarks: tuple[str, ...] = ()
    is_about_memory: bool = True
    setting: Setting | None = None

    @property
    def works(self) -> bool:
        """Whether nothing speaks against trying it."""
        return self.answer != "no"

    @property
    def correction(self) -> Correction:
        """What earlier starts on the box changed of it."""
        return NO_CORRECTION if self.verdict is None else self.verdict.ledger.correction

    @property
    def planned(self) -> Planned | None:
        """What can be held against the start later; None where the arithmetic says nothing."""
        if self.verdict is None or self.setting is None:
            return None
        book = self.verdict.ledger
        return Planned(
            setting=self.setting,
            prediction=GpuPrediction(
                total=book.total,
                held=book.held,
                context=book.context,
                weights=book.weights.total,
                step=book.step,
                graphs=book.graphs,
                kv=book.kv,
                kv_token=book.kv_token,
                kv_tokens=book.kv_tokens,
                correction=book.correction.size,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Plans one profile on whatever GPUs.

    Args:
        model: None where nothing is known of it.
        adapter: Of the profile's engine.
        context: Tokens of one sequence instead of the profile's.
        box: The machine whose GPUs these are.
        starts: What was measured, on this box and on others.
    """

    profile: Profile
    model: FitModel | None
    adapter: PlannedEngine
    context: int | None = None
    box: str = ""
    starts: tuple[MeasuredStart, ...] = ()
    _answers: dict[tuple[Accelerator, int], EngineContainer | str] = field(default_factory=dict)

    def on(self, gpus: Sequence[PlanGpu]) -> FitPlan:
        """Plan one replica on these GPUs, at least one, of one kind; or on a CPU."""
        gpus = tuple(gpus)
        if self.model is None:
            return FitPlan(
                answer="unknown", reason="nothing is known of the model, so whether it fits cannot be said", gpus=gpus
            )
        request = self._request(self.model, gpus)
        engine = self.adapter.memory(request, self.model.shape, gpus[0])
        container = self._container(request)
        remarks = () if isinstance(container, str) else container.remarks
        problem = split_problem(self.model, engine, len(gpus))
        if problem is not None or isinstance(container, str):
            reason = problem or str(container)
            return FitPlan(answer="no", reason=reason, gpus=gpus, remarks=remarks, is_about_memory=len(gpus) > 1)
        setting = self._setting(request, gpus, engine, container.image)
        most_bytes = MOST_OF_GPU * min(gpu.total_bytes for gpu in gpus)
        verdict = judge_fit(
            self.model,
            engine,
            gpus,
            request.profile.engine.context_length,
            replicas=self.profile.replicas,
            correction=correction_of(setting, self.starts, most_bytes=most_bytes),
        )
        return FitPlan(
            answer=verdict.answer,
            reason=verdict.reason,
            gpus=gpus,
            verdict=verdict,
            remarks=remarks,
            is_about_memory=verdict.answer != "no" or verdict.missing > 0,
            setting=setting,
        )

    def memory(self, gpus: Sequence[PlanGpu]) -> EngineMemory | None:
        """Return what the engine does with these GPUs' memory; None where nothing is known of the model."""
        if self.model is None:
            return None
        return self.adapter.memory(self._request(self.model, gpus), self.model.shape, gpus[0])

    def smallest_sets(self, like: PlanGpu) -> tuple[FitPlan, ...]:
        """Return what would do of the known GPUs, if anything: of the kind at hand, and the least memory of all.

        Of CPUs there is no such table.
        """
        if like.is_cpu:
            return ()
        kinds = [one.gpu for one in KNOWN if one.vendor == like.vendor]
        same = list(self._working(like))[:1]
        others = [plan for kind in kinds for plan in self._working(kind)]
        least = sorted(others, key=lambda plan: (_memory(plan), len(plan.gpus)))[:1]
        chosen = {describe(plan.gpus): plan for plan in (*same, *least)}
        return tuple(chosen.values())

    def least_memory(self, plan: FitPlan) -> int:
        """Return the free memory that a CPU's machine needs for one sequence of the plan's context; 0 if not known."""
        engine = self.memory(plan.gpus)
        if engine is None or plan.verdict is None:
            return 0
        book = plan.verdict.ledger
        before = book.context + book.correction.size + book.weights.total + book.step
        # With `MARGIN` of the whole to spare, the share of what is free has to hold the sequence.
        share = engine.usable_share
        return int((share * before + book.kv_token * plan.verdict.context) / (share - MARGIN))

    def _working(self, kind: PlanGpu) -> Iterator[FitPlan]:
        """Yield a plan for each number of these GPUs, idle ones, that fits with room to spare."""
        if self.model is None:
            return
        idle = PlanGpu(
            name=kind.name,
            total_bytes=kind.total_bytes,
            vendor=kind.vendor,
            compute_capability=kind.compute_capability,
        )
        engine = self.adapter.memory(self._request(self.model, (idle,)), self.model.shape, idle)
        for count in allowed_splits(self.model, engine, _MOST_GPUS):
            plan = self.on((idle,) * count)
            if plan.answer == "fits":
                yield plan

    def _request(self, model: FitModel, gpus: Sequence[PlanGpu]) -> EngineRequest:
        profile = self.profile
        if self.context is not None:
            engine = profile.engine.model_copy(update={"context_length": self.context, "max_input_tokens": None})
            profile = profile.model_copy(update={"engine": engine})
        return EngineRequest(
            profile=profile,
            facts=model.facts,
            accelerator=_ACCELERATORS[gpus[0].vendor],
            shards=len(gpus),
            weights_path="",
            payload_limit_bytes=profile.proxy.limits.max_body_bytes,
        )

    def _setting(self, request: EngineRequest, gpus: Sequence[PlanGpu], engine: EngineMemory, image: str) -> Setting:
        profile = request.profile
        return Setting(
            box=self.box,
            device=gpus[0].name,
            shards=len(gpus),
            engine=image,
            model=profile.model.id or profile.model.path or "",
            commit=profile.model.revision,
            quantization=profile.engine.quantization or request.facts.quantization,
            kv_type=profile.engine.kv_cache_dtype,
            prefill_tokens=engine.prefill_tokens,
            context=profile.engine.context_length,
        )

    def _container(self, request: EngineRequest) -> EngineContainer | str:
        """Return how the engine runs, or why it refuses; the same for every kind of GPU of a vendor."""
        key = (request.accelerator, request.shards)
        if key not in self._answers:
            try:
                self._answers[key] = self.adapter.container(request)
            except ProfileError as exc:
                self._answers[key] = exc.message
        return self._answers[key]


def _memory(plan: FitPlan) -> int:
    return sum(gpu.total_bytes for gpu in plan.gpus)
