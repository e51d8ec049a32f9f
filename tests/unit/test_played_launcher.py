"""What the played launcher writes is, to the letter, what users of the real one posted."""

import io
import json
from datetime import datetime

import pytest

from fakes.tgi_launcher.arguments import ArgumentsError, UsageError, check, read_arguments, shown
from fakes.tgi_launcher.log import Log

# https://github.com/huggingface/text-generation-inference/issues/1763, where the log writes ESC as #033
COLOURED = (
    "#033[2m2024-04-18T22:43:58.111453Z#033[0m #033[32m INFO#033[0m #033[1mshard-manager#033[0m: "
    "#033[2mtext_generation_launcher#033[0m#033[2m:#033[0m Waiting for shard to be ready... "
    "#033[2m#033[3mrank#033[0m#033[2m=#033[0m0#033[0m"
)
# https://github.com/huggingface/text-generation-inference/issues/2572
PLAIN = (
    "2024-09-25T15:04:30.420621Z  INFO shard-manager: text_generation_launcher: Shard ready in 218.618910525s rank=4"
)
# https://github.com/huggingface/text-generation-inference/issues/890
ROUTER = "2023-08-31T14:49:37.724926Z  INFO text_generation_router: router/src/main.rs:210: Warming up model"
# https://github.com/huggingface/text-generation-inference/issues/3105
SHOWN = """\
Args {
    model_id: "google/gemma-3-27b-it",
    revision: None,
    validation_workers: 2,
    sharded: Some(
        true,
    ),
    num_shard: Some(
        4,
    ),
    quantize: None,
    speculate: None,
    dtype: None,
    kv_cache_dtype: None,
    trust_remote_code: false,
    max_concurrent_requests: 128,
"""


def written(line: str, environment: dict[str, str], *, as_json: bool = False) -> tuple[Log, io.StringIO]:
    """Return a log whose clock stands at the line's time."""
    out = io.StringIO()
    stamp = line.removeprefix("#033[2m")[:26]
    now = datetime.fromisoformat(f"{stamp}+00:00").timestamp()
    return Log(out, as_json=as_json, environment=environment, now=lambda: now), out


def test_launcher_line_in_colour_is_the_real_one() -> None:
    log, out = written(COLOURED, {})

    log.info("Waiting for shard to be ready...", span="shard-manager", rank=0)

    assert out.getvalue() == COLOURED.replace("#033", "\x1b") + "\n"


def test_launcher_line_without_colour_is_the_real_one() -> None:
    log, out = written(PLAIN, {"NO_COLOR": "1"})

    log.info("Shard ready in 218.618910525s", span="shard-manager", rank=4)

    assert out.getvalue() == PLAIN + "\n"


def test_router_line_is_the_real_one() -> None:
    log, out = written(ROUTER, {"LOG_COLORIZE": "1"})

    log.router("text_generation_router", "router/src/main.rs:210", "Warming up model")

    assert out.getvalue() == ROUTER + "\n"


def test_json_puts_the_message_where_each_of_the_two_programs_does() -> None:
    log, out = written(PLAIN, {}, as_json=True)

    log.error("Shard 0 failed to start", span="shard-manager", rank=0)
    log.router("text_generation_router_v3", "backends/v3/src/lib.rs:125", "Warming up model")

    launcher, router = map(json.loads, out.getvalue().splitlines())
    assert (launcher["level"], launcher["fields"]["message"]) == ("ERROR", "Shard 0 failed to start")
    assert launcher["span"] == {"rank": 0, "name": "shard-manager"}
    assert (router["message"], router["line_number"]) == ("Warming up model", 125)


def test_arguments_are_shown_as_the_real_launcher_shows_them() -> None:
    environment = {"MODEL_ID": "google/gemma-3-27b-it", "SHARDED": "true", "NUM_SHARD": "4"}

    assert shown(read_arguments([], environment)).startswith(SHOWN)


def test_an_option_wins_over_its_variable() -> None:
    assert read_arguments(["--num-shard", "2"], {"NUM_SHARD": "4"}).num_shard == 2


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UsageError, match="unexpected argument '--shards' found"):
        read_arguments(["--shards=2"], {})


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SHARDED": "true", "NUM_SHARD": "1"}, "`sharded` is true but `num_shard` <= 1"),
        ({"NUM_SHARD": "0"}, "`num_shard` cannot be < 1"),
        ({"NUM_SHARD": "2", "QUANTIZE": "exl2"}, "Sharding is currently not supported with `exl2` quantization"),
        (
            {"MAX_INPUT_TOKENS": "9", "MAX_TOTAL_TOKENS": "9"},
            r"`max_input_tokens`\(9\) must be < `max_total_tokens`\(9\)",
        ),
        ({"MAX_INPUT_TOKENS": "8", "MAX_INPUT_LENGTH": "8"}, "Both `max_input_tokens`"),
        ({"VALIDATION_WORKERS": "0"}, "`validation_workers` must be > 0"),
        (
            {"MAX_TOTAL_TOKENS": "9", "MAX_BATCH_TOTAL_TOKENS": "8"},
            "must be <= `max_batch_total_tokens`. Given: 9 and 8",
        ),
    ],
)
def test_what_the_launcher_refuses_before_it_starts_is_refused(environment: dict[str, str], words: str) -> None:
    arguments = read_arguments([], environment)

    with pytest.raises(ArgumentsError, match=words):
        check(arguments)
