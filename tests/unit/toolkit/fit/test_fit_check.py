"""What `up` does with its plan."""

from dataclasses import replace

import pytest

from fakes.measured_starts import GB, SETTING, measured_start
from fakes.recorded_models import SCOUT, recorded
from fakes.tgi_requests import shipped_profile, tgi_profile
from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.errors import DockerUnavailableError, GpuUnavailableError, WeightsError
from scout_deploy.fit.gpu_kind import cpu_with
from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.fit.model import FitModel
from scout_deploy.fit_check import FitCheck
from scout_deploy.gpus.gpu import Gpu
from scout_deploy.plan_gpus import GpusToPlan
from scout_deploy.profile.engine import Model
from scout_deploy.progress import Progress, Teller

MIB = 2**20


class Told:
    def __init__(self) -> None:
        self._progress: list[Progress] = []
        self.tell = Teller(self._progress.append)

    @property
    def notes(self) -> list[str]:
        return [one.detail or "" for one in self._progress]


def h100(index: int, *, used_mib: int = 0, total_mib: int | None = 81_559) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="NVIDIA H100 80GB HBM3",
        memory_total_bytes=None if total_mib is None else total_mib * MIB,
        memory_used_bytes=used_mib * MIB,
        compute_capability="9.0",
    )


def check(*, insists: bool = False, starts: tuple[MeasuredStart, ...] = (), **overrides: str) -> FitCheck:
    return FitCheck(
        profile=shipped_profile("h100-bf16", **overrides),
        profile_name="h100-bf16",
        adapter=planning_engine_for("tgi"),
        find=lambda _: recorded(SCOUT),
        insists=insists,
        box=SETTING.box,
        starts=starts,
    )


def test_what_fits_is_started_without_a_word() -> None:
    told = Told()

    check().check([[h100(index) for index in range(4)]], told.tell)

    assert told.notes == []


def test_what_does_not_fit_is_refused_unless_the_user_insists() -> None:
    told = Told()
    gpus = [[h100(0), h100(1)]]

    with pytest.raises(GpuUnavailableError, match="cannot work: the weights alone need 110") as caught:
        check().check(gpus, told.tell)
    check(insists=True).check(gpus, told.tell)

    assert "scout-deploy plan --profile h100-bf16" in (caught.value.next_step or "")
    assert "--force" in (caught.value.next_step or "")
    assert [line.partition(":")[0] for line in told.notes] == ["started although the plan says no"]


def test_what_was_measured_on_this_box_is_told_once_for_all_replicas_and_decides() -> None:
    told = Told()
    free = [h100(index) for index in range(4)]
    crowded = [h100(index, used_mib=12_000) for index in range(4, 8)]
    starts = (measured_start(4 * GB),)

    check(starts=starts).check([free, free], told.tell)
    check().check([crowded], Told().tell)
    with pytest.raises(GpuUnavailableError, match="cannot work: a context of 8,192 tokens needs"):
        check(starts=starts).check([crowded], Told().tell)

    assert told.notes == [
        "the plan counts 4.0 GB more on each GPU, measured on this box on 2026-11-20, 1 start of these settings"
    ]


def test_a_start_that_was_left_out_is_told() -> None:
    told = Told()

    check(starts=(measured_start(13 * GB),)).check([[h100(index) for index in range(4)]], told.tell)

    assert [note.partition(":")[0] for note in told.notes] == ["1 start measured on this box left out"]


def test_what_is_planned_of_each_replica_can_be_held_against_it_later() -> None:
    here, unknown = [h100(index) for index in range(4)], [h100(index, total_mib=None) for index in range(4, 8)]

    first, second = check().planned([here, unknown])

    assert first is not None
    assert first.setting == SETTING
    assert first.prediction.held == 0
    assert second is None
    assert check().planned([()]) == (None,)


def test_a_context_that_the_engine_computes_wrongly_is_refused() -> None:
    with pytest.raises(GpuUnavailableError, match="beyond the 8,192"):
        check(engine__context_length="16384").check([[h100(index) for index in range(4)]], Told().tell)


def test_every_replica_has_to_fit() -> None:
    busy = [h100(index, used_mib=60_000) for index in range(4, 8)]

    with pytest.raises(GpuUnavailableError, match="other processes hold 62"):
        check().check([[h100(index) for index in range(4)], busy], Told().tell)


def test_what_an_engine_that_leaves_holds_does_not_count() -> None:
    busy = [h100(index, used_mib=70_000) for index in range(4)]

    check().check([busy], Told().tell, leaving=range(4))


def test_where_nothing_is_known_a_plan_warns_and_stands_not_in_the_way() -> None:
    told = Told()

    def unreachable(_: Model) -> FitModel | None:
        raise WeightsError("nobody answers")

    no_facts = FitCheck(
        profile=shipped_profile("h100-bf16"),
        profile_name="h100-bf16",
        adapter=planning_engine_for("tgi"),
        find=unreachable,
    )
    no_facts.check([[h100(0)]], told.tell)
    assert no_facts.planned([[h100(0)]]) == (None,)
    check().check([[h100(0, total_mib=None)]], told.tell)

    assert told.notes == [
        "whether the model fits is not known: nobody answers",
        "whether the model fits is not known: the driver does not say how large its GPUs are",
    ]


def test_on_a_cpu_nothing_is_said() -> None:
    told = Told()

    check().check([], told.tell)
    check().check([()], told.tell)

    assert told.notes == []


def cpu_check(gigabytes: int, held: int, *, insists: bool = False) -> FitCheck:
    return FitCheck(
        profile=tgi_profile({"context_length": 8192}, gpus=None),
        profile_name="cpu",
        adapter=planning_engine_for("tgi"),
        find=lambda _: recorded("meta-llama/Llama-3.1-8B-Instruct"),
        insists=insists,
        cpu=lambda: GpusToPlan(gpus=(cpu_with(gigabytes * 10**9, held * 10**9),)),
    )


def test_on_a_cpu_what_the_machine_cannot_hold_is_refused_and_what_it_could_hold_is_told() -> None:
    told = Told()

    cpu_check(64, 4).check([()], told.tell)
    assert told.notes == []
    cpu_check(32, 24).check([()], told.tell)
    assert [line.partition(":")[0] for line in told.notes] == [
        "the plan says that this works only where others give memory back"
    ]
    with pytest.raises(GpuUnavailableError, match="cannot work: the weights alone need 16"):
        cpu_check(16, 0).check([()], told.tell)
    cpu_check(16, 0, insists=True).check([()], told.tell)
    assert told.notes[-1].startswith("started although the plan says no")


def test_a_machine_whose_memory_is_not_told_stands_in_nobodys_way() -> None:
    def nobody() -> GpusToPlan:
        raise DockerUnavailableError("nobody there")

    told = Told()

    replace(cpu_check(64, 0), cpu=nobody).check([()], told.tell)

    assert told.notes == ["whether the model fits is not known: nobody there"]
