"""A profile held against GPUs: what its engine refuses, whether the model fits, and what would do instead. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scout_deploy.engines.container_engine import Accelerator, EngineRequest, PlannedEngine
from scout_deploy.errors import ProfileError
from scout_deploy.fit.engine_memory import EngineMemory
from scout_deploy.fit.gpu_kind import KNOWN, PlanGpu, describe
from scout_deploy.fit.model import FitModel
from scout_deploy.fit.verdict import Verdict, allowed_splits, judge_fit, split_problem
from scout_deploy.profile.profile import Profile

PlanAnswer = Literal["fits", "tight", "no", "unknown"]

_MOST_GPUS = 8


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What is known beforehand of one replica on its GPUs.

    Args:
        reason: One sentence, or a line for each thing that the engine refuses.
        verdict: None where the arithmetic says nothing: the model is not known, or cannot be split so.
        remarks: What a user should know beforehand.
        is_about_memory: Whether other GPUs would change a refusal.
    """

    answer: PlanAnswer
    reason: str
    gpus: tuple[PlanGpu, ...]
    verdict: Verdict | None = None
    remarks: tuple[str, ...] = ()
    is_about_memory: bool = True

    @property
    def works(self) -> bool:
        """Whether nothing speaks against trying it."""
        return self.answer != "no"


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Plans one profile on whatever GPUs.

    Args:
        model: None where nothing is known of it.
        adapter: Of the profile's engine.
        context: Tokens of one sequence instead of the profile's.
    """

    profile: Profile
    model: FitModel | None
    adapter: PlannedEngine
    context: int | None = None
    _refusals: dict[tuple[Accelerator, int], tuple[str | None, tuple[str, ...]]] = field(default_factory=dict)

    def on(self, gpus: Sequence[PlanGpu]) -> FitPlan:
        """Plan one replica on these GPUs, at least one, of one kind."""
        gpus = tuple(gpus)
        if self.model is None:
            return FitPlan(
                answer="unknown", reason="nothing is known of the model, so whether it fits cannot be said", gpus=gpus
            )
        request = self._request(self.model, gpus)
        engine = self.adapter.memory(request, self.model.shape, gpus[0].compute_capability)
        refusal, remarks = self._refusal(request)
        problem = split_problem(self.model, engine, len(gpus)) or refusal
        if problem is not None:
            return FitPlan(answer="no", reason=problem, gpus=gpus, remarks=remarks, is_about_memory=len(gpus) > 1)
        verdict = judge_fit(
            self.model, engine, gpus, request.profile.engine.context_length, replicas=self.profile.replicas
        )
        return FitPlan(
            answer=verdict.answer,
            reason=verdict.reason,
            gpus=gpus,
            verdict=verdict,
            remarks=remarks,
            is_about_memory=verdict.answer != "no" or verdict.missing > 0,
        )

    def memory(self, gpus: Sequence[PlanGpu]) -> EngineMemory | None:
        """Return what the engine does with these GPUs' memory; None where nothing is known of the model."""
        if self.model is None:
            return None
        return self.adapter.memory(self._request(self.model, gpus), self.model.shape, gpus[0].compute_capability)

    def smallest_sets(self, like: PlanGpu) -> tuple[FitPlan, ...]:
        """Return what would do of the known GPUs, if anything: of the kind at hand, and the least memory of all."""
        kinds = [one.gpu for one in KNOWN if one.vendor == like.vendor]
        same = list(self._working(like))[:1]
        others = [plan for kind in kinds for plan in self._working(kind)]
        least = sorted(others, key=lambda plan: (_memory(plan), len(plan.gpus)))[:1]
        chosen = {describe(plan.gpus): plan for plan in (*same, *least)}
        return tuple(chosen.values())

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
        engine = self.adapter.memory(self._request(self.model, (idle,)), self.model.shape, idle.compute_capability)
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
            accelerator="amd" if gpus[0].vendor == "amd" else "nvidia",
            shards=len(gpus),
            weights_path="",
            payload_limit_bytes=profile.proxy.limits.max_body_bytes,
        )

    def _refusal(self, request: EngineRequest) -> tuple[str | None, tuple[str, ...]]:
        """Return what the engine refuses, and else its remarks; the same for every kind of GPU of a vendor."""
        key = (request.accelerator, request.shards)
        if key not in self._refusals:
            try:
                self._refusals[key] = (None, self.adapter.container(request).remarks)
            except ProfileError as exc:
                self._refusals[key] = (exc.message, ())
        return self._refusals[key]


def _memory(plan: FitPlan) -> int:
    return sum(gpu.total_bytes for gpu in plan.gpus)
