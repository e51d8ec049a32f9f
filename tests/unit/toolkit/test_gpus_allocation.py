"""Which replica gets which GPUs."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scout_deploy.errors import GpuUnavailableError
from scout_deploy.gpus.allocation import allocate, can_run_beside, is_kind
from scout_deploy.gpus.gpu import Gpu, GpuProcess
from scout_deploy.profile.engine import Hardware

MIB = 2**20
# As nvidia-smi reports them, in MiB.
A100, A100_40, L4, T4 = 81_920, 40_960, 23_034, 15_360
NAMES = {A100: "NVIDIA A100-SXM4-80GB", A100_40: "NVIDIA A100-SXM4-40GB", L4: "NVIDIA L4", T4: "Tesla T4"}


def gpu(index: int, total: int = A100, used: int = 4, *, mig: bool = False) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name=NAMES[total],
        memory_total_bytes=total * MIB,
        memory_used_bytes=used * MIB,
        mig=mig,
    )


def box(*totals: int) -> list[Gpu]:
    return [gpu(index, total) for index, total in enumerate(totals)]


def refusal(hardware: Hardware, gpus: list[Gpu], replicas: int = 1, taken: dict[int, str] | None = None) -> str:
    with pytest.raises(GpuUnavailableError) as caught:
        allocate(hardware, replicas, gpus, taken or {})
    assert caught.value.exit_code == 5
    assert caught.value.next_step
    return caught.value.message


def test_gpu_ids_are_taken_in_the_profiles_order() -> None:
    assert allocate(Hardware(gpu_ids=(3, 0, 1, 2)), 2, box(*[A100] * 4), {}) == ((3, 0), (1, 2))


def test_each_replica_gets_gpus_of_its_own() -> None:
    assert allocate(Hardware(gpu_count=2), 3, box(*[A100] * 8), {}) == ((0, 1), (2, 3), (4, 5))


def test_a_cpu_deployment_gets_none() -> None:
    assert allocate(Hardware(cpu_only=True), 2, [], {}) == ((), ())


def test_the_gpus_of_another_deployment_are_left_alone() -> None:
    assert allocate(Hardware(gpu_count=1), 2, box(*[A100] * 4), {0: "other", 2: "other"}) == ((1,), (3,))


def test_gpus_that_other_processes_use_are_left_alone() -> None:
    gpus = [gpu(0, used=70_000), gpu(1, used=1_030), gpu(2, used=1_000)]

    assert allocate(Hardware(gpu_count=1), 1, gpus, {}) == ((2,),)


def test_a_small_gpu_is_in_use_from_a_twentieth_of_its_memory() -> None:
    assert "GPU 0 has 0.8 GiB of 15.0 GiB in use" in refusal(Hardware(gpu_count=1), [gpu(0, T4, used=800)])


def test_the_most_free_memory_comes_first() -> None:
    gpus = [gpu(0, used=500), gpu(1, used=10), gpu(2, used=300), gpu(3, used=5)]

    assert allocate(Hardware(gpu_count=2), 1, gpus, {}) == ((1, 3),)


def test_a_replica_never_mixes_kinds() -> None:
    gpus = box(L4, A100, L4, A100)

    assert allocate(Hardware(gpu_count=2), 2, gpus, {}) == ((1, 3), (0, 2))
    message = refusal(Hardware(gpu_count=2), box(L4, A100))
    assert "of different kinds" in message
    assert "1 x NVIDIA L4 (22 GiB), 1 x NVIDIA A100-SXM4-80GB (80 GiB)" in message


def test_a_kind_that_holds_all_replicas_is_better_than_a_larger_one_that_does_not() -> None:
    assert allocate(Hardware(gpu_count=1), 2, box(A100, L4, L4), {}) == ((1,), (2,))


def test_automatic_takes_the_most_that_divide_the_heads() -> None:
    automatic = Hardware(device_map="auto")

    assert allocate(automatic, 1, box(*[A100] * 7), {}, heads=(40, 8)) == ((0, 1, 2, 3),)
    assert allocate(automatic, 1, box(*[A100] * 8), {}, heads=(40, 8)) == (tuple(range(8)),)
    assert allocate(automatic, 1, box(*[A100] * 8), {}, heads=(28, 4)) == ((0, 1, 2, 3),)
    assert allocate(automatic, 2, box(*[A100] * 8), {}, heads=(40, 8)) == ((0, 1, 2, 3), (4, 5, 6, 7))


def test_automatic_refuses_where_all_are_in_use() -> None:
    message = refusal(Hardware(device_map="auto"), box(A100), taken={0: "scout"})

    assert "none is free: GPU 0 belongs to deployment 'scout'" in message


def test_more_than_there_are_is_refused_with_what_there_is() -> None:
    message = refusal(Hardware(gpu_count=4, gpu_kind="A100", gpu_memory_gb=80), box(A100, A100))

    assert message == "the profile wants 4 x A100 with 80 GB; this machine has 2 x NVIDIA A100-SXM4-80GB (80 GiB)"


def test_replicas_are_counted() -> None:
    assert "2 x GPU for each of 3 replicas" in refusal(Hardware(gpu_count=2), box(*[A100] * 4), replicas=3)


def test_ids_that_do_not_exist_are_refused_with_those_that_do() -> None:
    assert "names GPU 4, 9; this machine has GPU 0, 1" in refusal(Hardware(gpu_ids=(0, 4, 9)), box(A100, A100))


def test_named_gpus_in_use_are_refused_by_their_users() -> None:
    gpus = [gpu(0), gpu(1, used=40_960)]

    message = refusal(Hardware(gpu_ids=(0, 1)), gpus, taken={0: "chat"})

    assert "GPU 0 belongs to deployment 'chat'" in message
    assert "GPU 1 has 40.0 GiB of 80.0 GiB in use by other processes" in message


def test_who_uses_a_gpu_is_named_as_far_as_it_is_known() -> None:
    users = tuple(GpuProcess(pid=pid, name=name, memory_bytes=pid * MIB) for pid, name in ((1, "a"), (2, ""), (3, "b")))
    busy = replace(gpu(0, used=40_960), processes=users)

    assert refusal(Hardware(gpu_count=1), [busy]).endswith(
        "in use by other processes: b (pid 3), process (pid 2), a (pid 1)"
    )
    crowded = replace(busy, processes=(*users, GpuProcess(pid=4), GpuProcess(pid=5)))
    assert refusal(Hardware(gpu_count=1), [crowded]).endswith("a (pid 1) and 2 more")


def test_the_wrong_kind_is_refused() -> None:
    message = refusal(Hardware(gpu_count=1, gpu_kind="A100", gpu_memory_gb=80), box(L4))

    assert message == "the profile is for 1 x A100 with 80 GB; this machine has 1 x NVIDIA L4 (22 GiB)"
    assert "A100" in refusal(Hardware(gpu_ids=(0, 1), gpu_kind="A100"), box(A100, L4))


def test_too_little_memory_is_refused_though_the_kind_is_right() -> None:
    assert "(40 GiB)" in refusal(Hardware(gpu_count=1, gpu_kind="A100", gpu_memory_gb=80), box(A100_40))


@pytest.mark.parametrize(
    ("reported_mib", "sold_gb"),
    # H100 80GB HBM3, H200, L40S, A10G, and a T4 with ECC.
    [(81_559, 80), (143_771, 141), (46_068, 48), (23_028, 24), (15_109, 16)],
)
def test_what_drivers_report_is_enough_for_what_was_sold(reported_mib: int, sold_gb: float) -> None:
    one = Gpu(index=0, uuid="", name="GPU", memory_total_bytes=reported_mib * MIB)

    assert allocate(Hardware(gpu_count=1, gpu_memory_gb=sold_gb), 1, [one], {}) == ((0,),)


def test_a_gpu_without_memory_of_its_own_is_not_refused_for_it() -> None:
    one = Gpu(index=0, uuid="", name="NVIDIA GB10")

    assert allocate(Hardware(gpu_count=1, gpu_memory_gb=100), 1, [one], {}) == ((0,),)


def test_a_gpu_in_mig_mode_cannot_be_had() -> None:
    assert "split into MIG instances" in refusal(Hardware(gpu_count=1), [gpu(0, mig=True)])
    assert allocate(Hardware(gpu_count=1), 1, [gpu(0, mig=True), gpu(1)], {}) == ((1,),)


def test_a_machine_without_gpus_is_told_so() -> None:
    assert "this machine has no GPU with a loaded driver" in refusal(Hardware(gpu_count=2, gpu_kind="H100"), [])


def test_what_leaves_makes_room() -> None:
    gpus = [gpu(0, used=70_000)]

    assert allocate(Hardware(gpu_count=1), 1, gpus, {0: "scout"}, leaving=(0,)) == ((0,),)
    assert allocate(Hardware(gpu_ids=(0,)), 1, gpus, {0: "scout"}, leaving=(0,)) == ((0,),)


def test_a_second_set_runs_beside_only_on_gpus_that_are_free() -> None:
    assert can_run_beside(Hardware(gpu_count=2), 1, box(*[A100] * 4), {0: "scout", 1: "scout"})
    assert not can_run_beside(Hardware(gpu_count=2), 1, box(*[A100] * 3), {0: "scout", 1: "scout"})
    assert not can_run_beside(Hardware(gpu_ids=(0,)), 1, box(*[A100] * 3), {0: "scout"})
    assert can_run_beside(Hardware(cpu_only=True), 1, [], {})


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100", True),
        ("NVIDIA A100 80GB PCIe", "a100", True),
        ("NVIDIA L40S", "L4", False),
        ("NVIDIA L40S", "L40S", True),
        ("NVIDIA A100-SXM4-80GB", "A10", False),
        ("NVIDIA GH200 480GB", "H200", False),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000", True),
        ("AMD Instinct MI300X OAM", "MI300X", True),
    ],
)
def test_a_kind_is_whole_words_of_the_drivers_name(name: str, kind: str, expected: bool) -> None:
    assert is_kind(Gpu(index=0, uuid="", name=name), kind) is expected


@given(
    kinds=st.lists(st.sampled_from([A100, L4, T4]), min_size=1, max_size=10),
    count=st.integers(1, 4),
    replicas=st.integers(1, 4),
    data=st.data(),
)
def test_replicas_are_disjoint_free_and_of_one_kind(
    kinds: list[int], count: int, replicas: int, data: st.DataObject
) -> None:
    gpus = box(*kinds)
    taken = dict.fromkeys(data.draw(st.sets(st.integers(0, len(kinds) - 1))), "other")
    places = sum(sum(gpu.name == name and gpu.index not in taken for gpu in gpus) // count for name in NAMES.values())

    try:
        sets = allocate(Hardware(gpu_count=count), replicas, gpus, taken)
    except GpuUnavailableError:
        assert places < replicas
        return
    assert [len(one) for one in sets] == [count] * replicas
    assert all(not set(one) & set(other) for one, other in product(sets, sets) if one is not other)
    assert not {index for one in sets for index in one} & taken.keys()
    assert all(len({kinds[index] for index in one}) == 1 for one in sets)
