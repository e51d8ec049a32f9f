"""The gate that `up --gate` holds new engines to: a short load, judged by the profile's service level, and kept."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scout_deploy.bench.benchmark import Offer, progress_words
from scout_deploy.bench.gate_load import DURATION_S, SHORTEST_S, gate_load
from scout_deploy.bench.gate_verdict import gate_figures, judge_gate
from scout_deploy.bench.load_child import LoadChild, LoadProgress
from scout_deploy.bench.machine import this_machine
from scout_deploy.bench.run_files import write_run
from scout_deploy.bench.run_store import RunStore
from scout_deploy.bench.service_level import Outcome, Verdict, targets_of
from scout_deploy.errors import DeployError, GateMissedError
from scout_deploy.profile.profile import ServiceLevel
from scout_deploy.progress import Tell
from scout_deploy.runtimes.engine_gate import TrialTarget
from scout_loadtest.bench_run import GATE, BenchRun, Step, Subject
from scout_loadtest.step import Load, StepResult
from scout_proxy.version import __version__

_PHASE = "gate"


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What came of one gate.

    Args:
        report: Where it can be read; None where it could not be written.
    """

    verdict: Verdict
    step: Step
    report: Path | None


def _offer_to(url: str, headers: Mapping[str, str]) -> Offer:
    return LoadChild(url=url, headers=headers).offer


@dataclass(frozen=True, kw_only=True)
class BenchGate:
    """See `EngineGate`.

    Args:
        level: That the engines have to keep.
        duration_s: How long they are measured, where there is time for it.
        show: Is given what came of it.
        offer_to: Returns what offers a load to the API at an address, with these headers.
    """

    level: ServiceLevel
    store: RunStore
    show: Callable[[GateResult], None]
    duration_s: float = DURATION_S
    offer_to: Callable[[str, Mapping[str, str]], Offer] = _offer_to

    @property
    def shortest_s(self) -> float:
        """See `EngineGate.shortest_s`."""
        return SHORTEST_S

    def check(self, target: TrialTarget, tell: Tell) -> None:
        """See `EngineGate.check`."""
        load = gate_load(len(target.deployment.engines), target.left_s, self.duration_s)
        tell(_PHASE, f"{load.users} users for {load.duration_s:.3g} s, before anybody else's requests")
        began_at = time.time()
        result = self.offer_to(target.url, target.headers)(load, targets_of(self.level), _teller(load, tell))
        verdict = judge_gate(result, self.level)
        step = _step(result, verdict, began_at)
        written = write_run(self._run(target, began_at, step), self.store, None)
        for problem in written.problems:
            tell("note", f"the gate's figures cannot be kept: {problem}")
        figures = gate_figures(result, self.level)
        self.show(GateResult(verdict=verdict, step=step, report=written.report))
        if verdict.outcome is Outcome.HELD:
            tell("note", f"the gate is passed; {figures}")
            return
        _refuse(verdict, figures, written.report)

    def _run(self, target: TrialTarget, began_at: float, step: Step) -> BenchRun:
        deployment = target.deployment
        serving = deployment.routes.serving
        return BenchRun(
            id=self.store.new_id(deployment.name, began_at),
            began_at=began_at,
            took_s=round(time.time() - began_at, 3),
            version=__version__,
            machine=this_machine(),
            subject=Subject(
                url=target.url,
                deployment=deployment.name,
                profile=deployment.profile,
                model=serving.model_id,
                engine=" ".join(filter(None, (serving.engine, serving.engine_version))),
                image_digest=target.image_digest,
            ),
            targets=targets_of(self.level),
            goodput_target=self.level.goodput,
            seed=step.result.load.seed,
            steps=(step,),
            timeline=(),
        )


def _step(result: StepResult, verdict: Verdict, began_at: float) -> Step:
    return Step(
        purpose=GATE,
        starts_s=max(0.0, round(result.began_at - began_at, 3)),
        result=result,
        holds=None if verdict.outcome is Outcome.UNCLEAR else verdict.outcome is Outcome.HELD,
        because=verdict.because,
    )


def _teller(load: Load, tell: Tell) -> Callable[[LoadProgress], None]:
    whole_s = load.warm_up_s + load.duration_s

    def say(progress: LoadProgress) -> None:
        tell(_PHASE, progress_words(progress), percent=min(100.0, 100.0 * progress.elapsed_s / whole_s))

    return say


def _refuse(verdict: Verdict, figures: str, report: Path | None) -> None:
    where = () if report is None else (f"report: {report}",)
    if verdict.outcome is Outcome.MISSED:
        raise GateMissedError(
            f"the new engines missed the service level: {verdict.because}",
            next_step="settings that make them faster, or a service_level that they keep; without --gate they serve as "
            "they are",
            evidence=(figures, *where),
        )
    raise DeployError(
        f"it cannot be told whether the new engines keep the service level: {verdict.because}",
        next_step="the same command again, when this machine is less busy; a longer update/max_hold_s leaves more time",
        evidence=(figures, *where),
    )
