"""Each way in which the played TGI dies: its exit code, Docker's flags and its last words."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.types import Mount

from fakes.tgi_container import TgiContainer, tgi_container
from fakes.tgi_weights import change_play, play_recorded_death
from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnose import all_signatures, diagnose
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.engines.tgi.failures import tgi_signatures

pytestmark = [pytest.mark.docker, pytest.mark.variant]

_MEMORY_LIMIT = "96m"
_SETTINGS = EngineSettings(
    gpu_count=1,
    max_batch_prefill_tokens=4096,
    context_length=512,
    max_input_tokens=None,
    memory_fraction=None,
    shm_size_gb=None,
    quantization=None,
    model_id="/weights",
    version="3.3.7",
    image="played",
    replicas=1,
    port=2025,
)
# What the diagnosis calls them.
_NAMES = {
    "oom-load": "out-of-memory-at-load",
    "oom-warmup": "out-of-memory-at-warm-up",
    "sigbus": "small-shared-memory",
    "sigill": "missing-cpu-instruction",
    "num-shard": "wrong-shard-count",
    "quantization": "unsupported-quantization",
    "gated": "gated-model",
}


@pytest.mark.parametrize(
    ("die", "words", "last"),
    [
        ("oom-load", "torch.OutOfMemoryError: CUDA out of memory.", "Error: ShardCannotStart"),
        ("oom-warmup", "Not enough memory to handle 4096 prefill tokens.", "Error: WebserverFailed"),
        ("sigbus", "Shard process was signaled to shutdown with signal 7 rank=0", "Error: ShardCannotStart"),
        ("sigill", "Shard process was signaled to shutdown with signal 4 rank=0", "Error: ShardCannotStart"),
        ("num-shard", "AssertionError: Each process is one gpu", "Error: ShardCannotStart"),
        ("quantization", "awq quantization is not supported for AutoModel", "Error: ShardCannotStart"),
        ("gated", "is restricted and you are not in the authorized list", "Error: DownloadError"),
    ],
)
def test_a_death_at_start_up_ends_the_container_with_the_launchers_words(
    tgi_image: str, demo_weights: Path, die: str, words: str, last: str
) -> None:
    change_play(demo_weights, die=die)

    with tgi_container(tgi_image, demo_weights) as tgi:
        state = tgi.end()
        lines = tgi.lines()

    assert (state["ExitCode"], state["OOMKilled"]) == (1, False)
    assert any(words in line for line in lines)
    assert last in lines
    assert not any("Connected" in line for line in lines)
    death = Death(exit_code=1, lines=tuple(lines))
    assert diagnose(death, _SETTINGS, all_signatures(tgi_signatures())).name == _NAMES[die]


def test_a_shard_that_takes_all_memory_is_killed_by_docker(tgi_image: str, demo_weights: Path) -> None:
    change_play(demo_weights, die="eat-memory")

    with limited(tgi_image, demo_weights) as tgi:
        state = tgi.end()

        assert (state["ExitCode"], state["OOMKilled"]) == (1, True)
        assert tgi.says("Shard process was signaled to shutdown with signal 9 rank=0")


def test_a_launcher_that_takes_all_memory_is_killed_by_docker(tgi_image: str, demo_weights: Path) -> None:
    change_play(demo_weights, die="eat-memory-launcher")

    with limited(tgi_image, demo_weights) as tgi:
        state = tgi.end()

    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


@contextmanager
def limited(image: str, weights: Path) -> Iterator[TgiContainer]:
    options: dict[str, Any] = {"mem_limit": _MEMORY_LIMIT, "memswap_limit": _MEMORY_LIMIT}
    with tgi_container(image, weights, options=options) as tgi:
        yield tgi


@pytest.mark.parametrize(
    ("die", "last", "says_that_it_waits"),
    [
        ("never-ready", "Starting shard", True),
        ("hang-load", "Starting shard", False),
        ("hang-warmup", "Warming up model", False),
    ],
)
def test_a_start_that_hangs_goes_on_without_a_port(
    tgi_image: str, demo_weights: Path, die: str, last: str, says_that_it_waits: bool
) -> None:
    change_play(demo_weights, die=die, waiting_s=0.1)

    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_for_line("Waiting for shard to be ready" if says_that_it_waits else last)

        assert tgi.state()["Running"]
        with pytest.raises(requests.ConnectionError):
            tgi.get("/health")
        assert says_that_it_waits or last in tgi.lines()[-1]


def test_out_of_memory_while_serving_ends_the_container_after_so_many_requests(
    tgi_image: str, demo_weights: Path
) -> None:
    change_play(demo_weights, die="oom-serving", after_requests=2)

    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_until_ready()
        first = tgi.generate("Hello").status_code
        # It dies of the second one, which may be answered before.
        with suppress(requests.ConnectionError):
            tgi.generate("Hello")
        state = tgi.end()
        lines = tgi.lines()

    assert first == 200
    assert state["ExitCode"] == 1
    assert any("Method Decode encountered an error." in line for line in lines)
    assert "Error: ShardFailed" in lines


def test_a_crash_after_serving_for_a_while_names_the_signal(tgi_image: str, demo_weights: Path) -> None:
    change_play(demo_weights, die="crash", after_s=0.2)

    with tgi_container(tgi_image, demo_weights) as tgi:
        state = tgi.end()

        assert state["ExitCode"] == 1
        assert tgi.says("Connected")
        assert tgi.says("Shard process was signaled to shutdown with signal 9 rank=0")


def test_a_recorded_death_says_its_lines_and_nothing_after_them(
    tgi_image: str, demo_weights: Path, tmp_path: Path
) -> None:
    recorded = tmp_path / "death.toml"
    recorded.write_text(
        "exit_code = 132\nphase = 'warm-up'\nlines = '''\nfirst line\nlast line\n'''\n", encoding="utf-8"
    )
    play_recorded_death(demo_weights, recorded)

    with tgi_container(tgi_image, demo_weights) as tgi:
        state = tgi.end()
        lines = tgi.lines()

    assert state["ExitCode"] == 132
    assert lines[-2:] == ["first line", "last line"]
    assert any("Warming up model" in line for line in lines)


def test_only_the_start_that_is_to_die_dies(tgi_image: str, demo_weights: Path, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.mkdir()
    change_play(demo_weights, die="oom-load", on_start=2, starts_file="/starts/count")
    options: dict[str, Any] = {"mounts": [Mount(target="/starts", source=str(starts), type="bind")]}

    with tgi_container(tgi_image, demo_weights, options=options) as tgi:
        tgi.wait_until_ready()
        tgi.container.restart()
        second = tgi.end()["ExitCode"]
        tgi.container.start()
        tgi.wait_for_count("Connected", 2)

    assert second == 1


def test_killing_the_first_process_on_the_host_ends_the_container(tgi_image: str, demo_weights: Path) -> None:
    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_until_ready()
        os.kill(tgi.state()["Pid"], signal.SIGKILL)

        assert tgi.end()["ExitCode"] == 137


def test_killing_the_engine_on_the_host_is_a_crashed_shard(tgi_image: str, demo_weights: Path) -> None:
    with tgi_container(tgi_image, demo_weights) as tgi:
        tgi.wait_until_ready()
        os.kill(tgi.process_id("scout_engine"), signal.SIGKILL)

        assert tgi.end()["ExitCode"] == 1
        assert tgi.says("Shard 0 crashed")


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        (
            {"MAX_INPUT_TOKENS": "512"},
            1,
            'Error: ArgumentValidation("`max_input_tokens`(512) must be < `max_total_tokens`(512)")',
        ),
        ({"NUM_SHARD": "two"}, 2, "error: invalid value 'two' for '--num-shard <NUM_SHARD>': invalid digit found in"),
        ({"QUANTIZE": "int3"}, 2, "error: invalid value 'int3' for '--quantize <QUANTIZE>'"),
        ({"MODEL_ID": "meta-llama/none"}, 1, "Cannot reach https://huggingface.co/api/models/meta-llama/none"),
        ({"NUM_SHARD": "3"}, 1, "`num_heads` must be divisible by `num_shards` (got `num_heads`: 8"),
    ],
    ids=["no room to generate", "no number", "unknown quantization", "no local model", "uneven heads"],
)
def test_what_the_launcher_refuses_is_refused_in_its_words(
    tgi_image: str, demo_weights: Path, environment: dict[str, str], code: int, words: str
) -> None:
    with tgi_container(tgi_image, demo_weights, options=None, **environment) as tgi:
        state = tgi.end()

        assert state["ExitCode"] == code
        assert tgi.says(words)


def test_log_lines_can_be_json(tgi_image: str, demo_weights: Path) -> None:
    with tgi_container(tgi_image, demo_weights, JSON_OUTPUT="true") as tgi:
        tgi.wait_for_line("Connected")
        lines = tgi.lines()

    assert '"message": "Starting shard"' in next(line for line in lines if "Starting shard" in line)
    assert all(line.startswith('{"timestamp": "') for line in lines)
