"""The gate that measures: what it offers to which engines, what it says and keeps, and how it refuses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.bench_results import record
from fakes.tgi_requests import shipped_profile
from scout_deploy.bench.bench_gate import BenchGate, GateResult
from scout_deploy.bench.benchmark import Offer
from scout_deploy.bench.load_child import LoadInterrupted, LoadProgress
from scout_deploy.bench.run_store import RunStore
from scout_deploy.container_draft import Wish, draft
from scout_deploy.containers.deployment import Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.errors import DeployError, GateMissedError
from scout_deploy.model_facts import ModelFacts
from scout_deploy.profile.profile import ServiceLevel
from scout_deploy.progress import Progress, Teller
from scout_deploy.runtimes.engine_gate import TrialTarget
from scout_deploy.served_model import ServedModel
from scout_loadtest.figures import Targets
from scout_loadtest.figures_of import figures_of
from scout_loadtest.record import Record
from scout_loadtest.step import Arrival, ClientHealth, Load, StepResult
from scout_proxy.route_table import Template

TOKEN = "nobody-guesses-this"  # noqa: S105  # of a test


def target() -> TrialTarget:
    mount = Mount(kind="bind", source="/cache/a", target="/weights/a", read_only=True)
    model = ServedModel(weights=Weights(mount=mount, path="/weights/a"), facts=ModelFacts(), template=Template())
    profile = shipped_profile("h100-8bit")
    wish = Wish(profile=profile, profile_name="h100-8bit", name="blue", version="9.9.9")
    return TrialTarget(
        url="http://127.0.0.1:2025",
        headers={"X-Scout-Trial": TOKEN},
        deployment=draft(wish, container_engine_for("tgi"), model, 2),
        image_digest="sha256:" + "ab" * 32,
        left_s=None,
    )


@dataclass
class Measuring:
    """A gate whose requests are answered as the test says, and all that it does."""

    folder: Path
    ttfts_ms: Iterable[float]
    is_interrupted: bool = False
    offered: list[Load] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    shown: list[GateResult] = field(default_factory=list)

    @property
    def store(self) -> RunStore:
        return RunStore(self.folder)

    def check(self) -> None:
        gate = BenchGate(
            level=ServiceLevel(ttft_p99_ms=100), store=self.store, show=self.shown.append, offer_to=self._offer_to
        )
        gate.check(target(), Teller(self.told.append))

    def _offer_to(self, url: str, headers: Mapping[str, str]) -> Offer:
        assert (url, dict(headers)) == ("http://127.0.0.1:2025", {"X-Scout-Trial": TOKEN})
        return self._offer

    def _offer(self, load: Load, targets: Targets, tell: Callable[[LoadProgress], None]) -> StepResult:
        self.offered.append(load)
        tell(LoadProgress(elapsed_s=6.0, sent=4, ended=3, failed=0, in_flight=1))
        if self.is_interrupted:
            raise LoadInterrupted(None)
        records: list[Record] = [
            record(index, due_s=load.warm_up_s, ttft_ms=ttft_ms) for index, ttft_ms in enumerate(self.ttfts_ms)
        ]
        return StepResult(
            load=load,
            targets=targets,
            began_at=1.0,
            took_s=12.0,
            records=tuple(records),
            figures=figures_of(records, load=load, targets=targets),
            client=ClientHealth(cpu=0.1),
        )


def test_engines_that_keep_the_level_pass_with_one_line_of_figures(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, [50.0] * 20)

    measuring.check()

    (load,) = measuring.offered
    assert (load.arrival, load.users, load.mix) == (Arrival.CLOSED, 4, {"streamed": 1.0})
    notes = [one.detail for one in measuring.told if one.phase == "note"]
    assert notes == ["the gate is passed; slowest of 20 requests: TTFT 50 ms (at most 100); none failed"]
    assert [one.percent for one in measuring.told if one.phase == "gate"] == [None, 50.0]


def test_what_was_measured_is_kept_as_a_gate_with_its_report(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, [50.0] * 20)
    measuring.check()

    (run,) = measuring.store.runs()
    (step,) = run.steps
    assert (step.purpose, step.holds) == ("gate", True)
    assert (run.subject.deployment, run.subject.profile) == ("blue", "h100-8bit")
    assert run.subject.image_digest == "sha256:" + "ab" * 32
    (shown,) = measuring.shown
    assert shown.report is not None
    report = shown.report.read_text(encoding="utf-8")
    assert "The gate was passed" in report
    assert TOKEN not in report + run.model_dump_json()


def test_engines_that_miss_it_are_refused_with_what_was_measured(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, [50.0] * 19 + [170.0])

    with pytest.raises(GateMissedError) as caught:
        measuring.check()

    assert caught.value.message == (
        "the new engines missed the service level: 1 of 20 requests were beyond TTFT 100 ms; the slowest took 170 ms"
    )
    figures, report = caught.value.evidence
    assert figures == "slowest of 20 requests: TTFT 170 ms (at most 100); none failed"
    assert "The gate was missed" in Path(report.removeprefix("report: ")).read_text(encoding="utf-8")
    assert "a service_level that they keep" in str(caught.value.next_step)
    assert [run.steps[0].holds for run in measuring.store.runs()] == [False]


def test_too_little_to_judge_by_is_no_miss_and_no_pass(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, [50.0] * 2)

    with pytest.raises(DeployError, match="it cannot be told whether the new engines keep") as caught:
        measuring.check()

    assert not isinstance(caught.value, GateMissedError)
    assert [run.steps[0].holds for run in measuring.store.runs()] == [None]
    report = Path(caught.value.evidence[1].removeprefix("report: ")).read_text(encoding="utf-8")
    assert "The gate told nothing" in report


def test_a_disk_that_takes_nothing_costs_only_the_report(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    measuring = Measuring(tmp_path / "file", [50.0] * 20)

    measuring.check()

    notes = [str(one.detail) for one in measuring.told if one.phase == "note"]
    assert notes[0].startswith("the gate's figures cannot be kept: ")
    assert notes[-1].startswith("the gate is passed; ")


def test_ctrl_c_keeps_nothing_and_goes_on_up(tmp_path: Path) -> None:
    measuring = Measuring(tmp_path, [], is_interrupted=True)

    with pytest.raises(KeyboardInterrupt):
        measuring.check()

    assert list(measuring.store.runs()) == []
