"""What running engines have of their GPUs, over logs and tools that answer as they did on users' machines."""

from dataclasses import dataclass, field
from pathlib import Path

from fakes.measured_starts import NOON_S, PREDICTION, SETTING
from scout_deploy.containers import labels
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.errors import DockerUnavailableError
from scout_deploy.fit.measured_start import Measured, MeasuredStart, Planned
from scout_deploy.runtimes.docker_answers import ExecResult
from scout_deploy.runtimes.docker_errors import NotThereError
from scout_deploy.runtimes.engine_memory import measure, used_bytes

DATA = Path(__file__).parents[2] / "data"
MIB = 2**20
TGI = container_engine_for("tgi")
PLANNED = Planned(setting=SETTING, prediction=PREDICTION).model_dump_json()
NO_SUCH_PROGRAM = ExecResult(code=126, output='OCI runtime exec failed: exec: "nvidia-smi": not found in $PATH')


def row(index: int, used_mib: int) -> str:
    return f"{index}, GPU-{index}, NVIDIA H100 80GB HBM3, 81559, {used_mib}, 580.159.04, Disabled, 9.0\n"


@dataclass(kw_only=True)
class Daemon:
    """Answers for each container; one that is not there went away."""

    logs: dict[str, str] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    asked_since_s: list[float | None] = field(default_factory=list)

    def exec(self, container: str, argv: tuple[str, ...]) -> ExecResult:
        if container not in self.rows:
            raise NotThereError("no such container")
        if not argv[0].startswith("nvidia-smi"):
            return NO_SUCH_PROGRAM
        return ExecResult(code=0, output=self.rows[container] if len(argv) > 1 else "")

    def log(self, container: str, *, tail: int | None = None, since_s: float | None = None) -> bytes:
        assert tail is None
        self.asked_since_s.append(since_s)
        if container not in self.logs:
            raise DockerUnavailableError("gone")
        lines = self.logs[container].splitlines()
        return "".join(f"2026-11-20T12:00:00.000000000Z {line}\n" for line in lines).encode()


def engine(name: str = "one", gpus: str = "0,1", planned: str | None = PLANNED) -> ObservedContainer:
    own = {labels.GPUS: gpus} | ({} if planned is None else {labels.PLANNED: planned})
    return ObservedContainer(id=name, name=f"scout-{name}", labels=own, status="running", started_s=NOON_S - 60)


def posted_log() -> str:
    return (DATA / "tgi/logs/3181-warm-up.txt").read_text(encoding="utf-8")


def test_an_engines_own_figure_and_its_gpus_are_kept_beside_the_plan() -> None:
    daemon = Daemon(logs={"one": posted_log()}, rows={"one": row(0, 71_000) + row(1, 70_000)})

    found = measure(daemon, TGI, [engine()], NOON_S)

    assert found == (
        MeasuredStart(
            at_s=NOON_S,
            instance="one",
            setting=SETTING,
            predicted=PREDICTION,
            measured=Measured(kv_tokens=1_069_251, used_bytes=(71_000 * MIB, 70_000 * MIB)),
        ),
    )
    assert daemon.asked_since_s == [NOON_S - 60]


def test_the_tools_posted_answer_is_read_inside_the_container() -> None:
    answer = (DATA / "gpus/h100-580-query-used.txt").read_text(encoding="utf-8").partition("\n")[2]

    assert used_bytes(Daemon(rows={"one": answer}), engine(gpus="5")) == (10_767 * MIB,)


def test_an_engine_of_which_nothing_was_planned_is_left_out_and_shown_all_the_same() -> None:
    daemon = Daemon(logs={"one": posted_log()}, rows={"one": row(0, 5) + row(1, 6)})

    assert measure(daemon, TGI, [engine(planned=None), engine(planned="{")], NOON_S) == ()
    assert used_bytes(daemon, engine(planned=None)) == (5 * MIB, 6 * MIB)


def test_a_container_that_sees_every_gpu_is_asked_for_its_own() -> None:
    daemon = Daemon(rows={"one": row(0, 1) + row(1, 2) + row(2, 3) + row(3, 4)})

    assert used_bytes(daemon, engine(gpus="3,1")) == (2 * MIB, 4 * MIB)
    assert used_bytes(daemon, engine(gpus="9")) == (None,)


def test_without_the_tool_the_engines_figure_is_kept_alone() -> None:
    class WithoutTool(Daemon):
        def exec(self, container: str, argv: tuple[str, ...]) -> ExecResult:
            assert container == "one"
            assert argv
            return NO_SUCH_PROGRAM

    daemon = WithoutTool(logs={"one": posted_log()})

    (found,) = measure(daemon, TGI, [engine()], NOON_S)

    assert found.measured == Measured(kv_tokens=1_069_251, used_bytes=(None, None))


def test_what_went_away_meanwhile_is_no_trouble() -> None:
    daemon = Daemon(logs={"two": "nothing of interest"})

    found = measure(daemon, TGI, [engine("one"), engine("two")], NOON_S)

    assert [(start.instance, start.measured) for start in found] == [("two", Measured())]
    assert used_bytes(daemon, engine(gpus="")) == ()
