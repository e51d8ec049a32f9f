"""What a diagnosis makes of facts: which cause comes first, what it shows, and what it says where it knows nothing."""

from dataclasses import replace

import pytest

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnose import all_signatures, diagnose
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.engines.tgi.failures import tgi_signatures
from scout_deploy.errors import DeployError

SETTINGS = EngineSettings(
    gpu_count=2,
    max_batch_prefill_tokens=4096,
    context_length=8192,
    max_input_tokens=None,
    memory_fraction=None,
    shm_size_gb=None,
    quantization=None,
    model_id="some/model",
    version="3.3.7",
    image="registry.example/tgi:3.3.7",
    replicas=1,
    port=2025,
)
# Lines of these tests are from tests/data/deaths, where their threads are named.
NO_ROOM = (
    "RuntimeError: Not enough memory to handle 4096 prefill tokens. You need to decrease `--max-batch-prefill-tokens`"
)
OUT_OF_MEMORY = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 128.00 MiB (GPU 0; 15.77 GiB total)"
PREFILL = "2023-07-19T21:02:09.363221Z ERROR text_generation_launcher: Method Prefill encountered an error."
WATCHDOG = "[E ProcessGroupNCCL.cpp:828] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)"
BUS_ERROR = "ERROR shard-manager: text_generation_launcher: Shard process was signaled to shutdown with signal 7 rank=1"
KILLED = "ERROR shard-manager: text_generation_launcher: Shard process was signaled to shutdown with signal 9 rank=0"
FAILED = "2023-08-17T10:23:27.032737Z ERROR text_generation_launcher: Shard 0 failed to start"


def of(
    *lines: str,
    settings: EngineSettings = SETTINGS,
    exit_code: int | None = 1,
    error: str = "",
    phase: str | None = None,
    oom_killed: bool = False,
    was_ready: bool = False,
    timed_out: bool = False,
    silent_s: float | None = None,
) -> Diagnosis:
    death = Death(
        exit_code=exit_code,
        oom_killed=oom_killed,
        error=error,
        lines=lines,
        phase=phase,
        was_ready=was_ready,
        timed_out=timed_out,
        silent_s=silent_s,
    )
    return diagnose(death, settings, all_signatures(tgi_signatures()))


def edits(diagnosis: Diagnosis) -> dict[str, str]:
    return {edit.key: edit.value for edit in diagnosis.edits}


@pytest.mark.parametrize(
    ("first", "follow_up", "name"),
    [
        (OUT_OF_MEMORY, WATCHDOG, "out-of-memory-at-load"),
        (BUS_ERROR, WATCHDOG, "small-shared-memory"),
        (OUT_OF_MEMORY, FAILED, "out-of-memory-at-load"),
        (KILLED, WATCHDOG, "killed"),
    ],
)
def test_what_one_rank_died_of_counts_and_not_what_its_peers_say(first: str, follow_up: str, name: str) -> None:
    assert of(first, follow_up).name == name
    # The log of the shard that waited can come first.
    assert of(follow_up, first).name == name


def test_a_process_that_docker_saw_killed_for_memory_was_killed_for_memory() -> None:
    assert of(KILLED, oom_killed=True).name == "out-of-host-memory"


def test_a_kill_without_dockers_flag_is_not_called_want_of_memory() -> None:
    diagnosis = of(exit_code=137)

    assert diagnosis.name == "killed"
    assert diagnosis.evidence == ("exit status 137: signal 9",)


@pytest.mark.parametrize(("exit_code", "name"), [(135, "small-shared-memory"), (132, "missing-cpu-instruction")])
def test_a_signal_to_the_main_process_itself_is_read_off_the_exit_status(exit_code: int, name: str) -> None:
    assert of(exit_code=exit_code).name == name


@pytest.mark.parametrize(
    ("phase", "was_ready", "name"),
    [
        ("load", False, "out-of-memory-at-load"),
        ("warm-up", False, "out-of-memory-at-warm-up"),
        ("ready", True, "out-of-memory-after-warm-up"),
        ("load", True, "out-of-memory-after-warm-up"),
        (None, False, "out-of-memory-at-load"),
    ],
)
def test_when_gpu_memory_ran_out_is_told_by_the_phase(phase: str | None, *, was_ready: bool, name: str) -> None:
    assert of(OUT_OF_MEMORY, phase=phase, was_ready=was_ready).name == name


def test_memory_that_ran_out_in_a_request_ran_out_after_warm_up() -> None:
    assert of(OUT_OF_MEMORY, PREFILL).name == "out-of-memory-after-warm-up"


def test_a_warm_up_without_room_is_halved_from_what_the_engine_said() -> None:
    diagnosis = of(NO_ROOM.replace("4096", "8192"))

    assert edits(diagnosis)["engine/max_batch_prefill_tokens"] == "4096"
    assert diagnosis.edits[0].text == "--set engine.max_batch_prefill_tokens=4096"
    assert "8192 tokens" in diagnosis.cause


@pytest.mark.parametrize(
    ("version", "longest", "edit"),
    [("3.3.7", 3000, "2048"), ("2.4.1", 3000, "3000"), (None, 3000, "3000"), ("2.4.1", 4096, None)],
)
def test_without_chunking_a_prompt_still_has_to_fit(version: str | None, longest: int, edit: str | None) -> None:
    settings = replace(SETTINGS, version=version, max_input_tokens=longest)

    assert edits(of(NO_ROOM, settings=settings)).get("engine/max_batch_prefill_tokens") == edit


def test_a_warm_up_never_gets_less_memory_to_work_in() -> None:
    assert "engine/memory_fraction" not in edits(of(NO_ROOM))
    capped = replace(SETTINGS, memory_fraction=0.8)
    assert edits(of(NO_ROOM, settings=capped))["engine/memory_fraction"] == "1.0"


def test_memory_that_ran_out_while_serving_is_kept_free_at_warm_up() -> None:
    diagnosis = of(OUT_OF_MEMORY, was_ready=True)

    assert edits(diagnosis) == {
        "engine/environment/TGI_WIGGLE_ROOM": '"0.8"',
        "engine/max_batch_prefill_tokens": "2048",
        "engine/memory_fraction": "0.9",
    }
    assert diagnosis.edits[0].text == "--set 'engine.environment.TGI_WIGGLE_ROOM=\"0.8\"'"


@pytest.mark.parametrize(("gpus", "edit"), [(1, "2"), (2, "4"), (3, "4"), (4, "8"), (8, None)])
def test_weights_that_do_not_fit_are_split_over_the_next_count_of_gpus(gpus: int, edit: str | None) -> None:
    diagnosis = of(OUT_OF_MEMORY, phase="load", settings=replace(SETTINGS, gpu_count=gpus))

    assert edits(diagnosis).get("hardware/gpu_count") == edit
    assert "quantized already" in str(diagnosis.next_step)


def test_weights_that_are_quantized_already_are_not_to_be_quantized() -> None:
    settings = replace(SETTINGS, quantization="compressed-tensors")

    assert "quantized" not in str(of(OUT_OF_MEMORY, phase="load", settings=settings).next_step)


@pytest.mark.parametrize(("gpus", "had", "edit"), [(2, None, "4"), (4, 1.0, "4"), (1, 0.5, "1"), (2, 3.0, "6")])
def test_shared_memory_is_doubled_and_one_for_each_shard(gpus: int, had: float | None, edit: str) -> None:
    settings = replace(SETTINGS, gpu_count=gpus, shm_size_gb=had)

    assert edits(of(BUS_ERROR, settings=settings)) == {"engine/shm_size_gb": edit}


def test_memory_that_did_not_suffice_for_cuda_graphs_kills_nobody() -> None:
    graphs = "2025-01-01T00:00:00.000000Z ERROR text_generation_launcher: Decode cuda graph warmup failed"
    later = "2025-01-01T00:00:01.000000Z ERROR text_generation_launcher: Shard 0 crashed"

    assert of(graphs, OUT_OF_MEMORY, later).name == "unknown"
    assert of(graphs, OUT_OF_MEMORY, later, OUT_OF_MEMORY, was_ready=True).name == "out-of-memory-after-warm-up"


def test_a_bus_error_alone_is_called_one_and_a_full_shared_memory_what_it_is() -> None:
    full = of("NCCL WARN Error: failed to extend /dev/shm/nccl-fjwOOB to 5967876 bytes")

    assert full.cause.endswith("ran out")
    assert "bus error" in of(BUS_ERROR).cause


def test_the_log_is_read_without_its_colours() -> None:
    diagnosis = of(f"\x1b[2m2024-05-01T01:17:02Z\x1b[0m \x1b[31mERROR\x1b[0m {NO_ROOM}")

    assert diagnosis.evidence == (f"2024-05-01T01:17:02Z ERROR {NO_ROOM}",)


def test_source_code_that_a_traceback_quotes_is_no_error() -> None:
    assert (
        of('│ ❱ 1730 │   raise NotImplementedError("awq quantization is not supported for AutoModel") │').name
        == "unknown"
    )


def test_a_message_that_the_engine_broke_in_two_is_still_read() -> None:
    lines = NO_ROOM.split(" handle ")

    diagnosis = of(f"{lines[0]} handle ", lines[1])

    assert diagnosis.name == "out-of-memory-at-warm-up"
    assert len(diagnosis.evidence) == 2


def test_of_a_very_long_line_the_part_that_counts_is_shown() -> None:
    (line,) = of("x" * 5000 + OUT_OF_MEMORY + "y" * 5000, phase="load").evidence

    assert "CUDA out of memory" in line
    assert len(line) < 500


def test_an_unknown_death_shows_its_end_and_states_facts() -> None:
    diagnosis = of(*(f"line {number}" for number in range(100)), exit_code=139, phase="load")

    assert diagnosis.name == "unknown"
    assert diagnosis.cause == (
        "the engine ended in the phase 'load' with exit status 139 (signal 11, SIGSEGV); "
        "its log names no cause known here"
    )
    assert diagnosis.evidence[-1] == "line 99"
    assert len(diagnosis.evidence) == 12


def test_an_engine_that_was_not_ready_in_time_ends_with_the_status_for_that() -> None:
    diagnosis = of("Waiting for shard to be ready... rank=0", exit_code=None, timed_out=True, silent_s=90.0)

    assert diagnosis.exit_code == 8
    assert diagnosis.cause.startswith("the engine was not ready in time, and wrote nothing for the last 90 s")


def test_a_refusal_that_nobody_knows_is_shown_in_the_daemons_words() -> None:
    diagnosis = of(exit_code=None, error="the moon is in the wrong phase", phase="start")

    assert diagnosis.name == "unknown"
    assert diagnosis.evidence == ("the moon is in the wrong phase",)
    assert diagnosis.exit_code == 7


def test_a_refusal_to_start_is_not_read_as_one_of_a_registry() -> None:
    error = 'error mounting "/srv/weights" to rootfs at "/data": permission denied: unknown'

    assert of(exit_code=None, error=error, phase="start").name == "unknown"


def test_a_stall_whose_log_names_no_cause_is_not_explained() -> None:
    assert of("Warming up model", exit_code=None, silent_s=120.0).name == "unknown"


def test_a_port_that_an_engine_wants_inside_its_container_is_not_the_hosts() -> None:
    assert of("OSError: [Errno 98] Address already in use").name == "unknown"


def test_every_exit_status_is_that_of_an_error() -> None:
    kinds = {kind.exit_code for kind in DeployError.__subclasses__()}
    said = [of(OUT_OF_MEMORY), of(exit_code=None, timed_out=True), of(BUS_ERROR)]
    said += [of(exit_code=None, error=error) for error in ("port is already allocated", "manifest unknown")]
    said += [
        of(exit_code=None, error=error) for error in ("could not select device driver", "Conflict. The container name")
    ]

    assert {diagnosis.exit_code for diagnosis in said} == {4, 5, 6, 7, 8, 17}
    assert {diagnosis.exit_code for diagnosis in said} <= kinds


@pytest.mark.parametrize(
    ("exit_code", "signal"), [(None, None), (0, None), (1, None), (128, None), (137, 9), (192, 64), (255, None)]
)
def test_exit_statuses_of_128_and_more_are_signals(exit_code: int | None, signal: int | None) -> None:
    assert Death(exit_code=exit_code).signal == signal


def test_an_edit_is_written_for_a_shell() -> None:
    assert ProfileEdit(key="proxy/port", value="2026", why="").text == "--set proxy.port=2026"
