"""What `status` says of an engine's GPUs."""

from fakes.measured_starts import GB, PREDICTION
from scout_deploy.cli.gpu_memory import GpuMemory

MEMORY = GpuMemory(indexes=(2, 3), used_bytes=(75 * GB, None), predicted=PREDICTION, kv_tokens=290_000)


def test_predicted_stands_beside_measured() -> None:
    predicted = "73.5 GB predicted, up to 75.9 GB once long prompts come"

    assert list(MEMORY.lines("scout-engine-1-0")) == [
        f"scout-engine-1-0, GPU 2: 75.0 GB in use, {predicted}",
        f"scout-engine-1-0, GPU 3: {predicted}",
        "scout-engine-1-0: KV cache: 290,000 tokens by the engine's own word, 300,000 predicted",
    ]


def test_programs_get_the_same_in_bytes() -> None:
    assert MEMORY.document == {
        "gpus": [{"index": 2, "used_bytes": 75 * GB}, {"index": 3, "used_bytes": None}],
        "kv_tokens": 290_000,
        "predicted": {
            "each_gpu_bytes": PREDICTION.started,
            "each_gpu_most_bytes": PREDICTION.most,
            "kv_tokens": 300_000,
            "correction_bytes": 0,
        },
    }


def test_an_engine_that_somebody_else_started_is_shown_as_far_as_it_is_known() -> None:
    unplanned = GpuMemory(indexes=(0,), used_bytes=(GB,), predicted=None, kv_tokens=None)
    silent = GpuMemory(indexes=(0,), used_bytes=(), predicted=PREDICTION, kv_tokens=None)

    assert list(unplanned.lines("e")) == ["e, GPU 0: 1.0 GB in use"]
    assert list(silent.lines("e"))[-1] == "e: KV cache: 300,000 predicted"
    assert silent.document["gpus"] == [{"index": 0, "used_bytes": None}]
