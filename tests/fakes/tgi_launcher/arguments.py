"""The launcher's arguments, each from its option or its environment variable, and the values that it refuses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "whole", "float", "flag", "truth", "quantization", "usage", "list"]
Value = str | int | float | bool | None

_QUANTIZATIONS = (
    "awq", "compressed-tensors", "eetq", "exl2", "gptq", "marlin", "bitsandbytes", "bitsandbytes-nf4",
    "bitsandbytes-fp4", "fp8",
)  # fmt: skip
_USAGE = ("on", "off", "no-stack")
_FALSE = ("", "0", "f", "false", "n", "no", "off")


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One field of the launcher's `Args`, in their order; no default means that it is optional."""

    name: str
    kind: Kind
    default: str | None = None

    @property
    def variable(self) -> str:
        return self.name.upper()


def _arguments(text: str) -> tuple[Argument, ...]:
    rows = (line.split() for line in text.strip().splitlines())
    return tuple(Argument(name=row[0], kind=_kind(row[1]), default=row[2] if len(row) > 2 else None) for row in rows)


def _kind(text: str) -> Kind:
    kinds: dict[str, Kind] = {
        "text": "text", "whole": "whole", "float": "float", "flag": "flag", "truth": "truth",
        "quantization": "quantization", "usage": "usage", "list": "list",
    }  # fmt: skip
    return kinds[text]


ARGUMENTS = _arguments("""
    model_id text bigscience/bloom-560m
    revision text
    validation_workers whole 2
    sharded truth
    num_shard whole
    quantize quantization
    speculate whole
    dtype text
    kv_cache_dtype text
    trust_remote_code flag
    max_concurrent_requests whole 128
    max_best_of whole 2
    max_stop_sequences whole 4
    max_top_n_tokens whole 5
    max_input_tokens whole
    max_input_length whole
    max_total_tokens whole
    waiting_served_ratio float 0.3
    max_batch_prefill_tokens whole
    max_batch_total_tokens whole
    max_waiting_tokens whole 20
    max_batch_size whole
    cuda_graphs list
    hostname text 0.0.0.0
    port whole 3000
    prometheus_port whole 9000
    shard_uds_path text /tmp/text-generation-server
    master_addr text localhost
    master_port whole 29500
    huggingface_hub_cache text
    weights_cache_override text
    disable_custom_kernels flag
    cuda_memory_fraction float 1.0
    rope_scaling text
    rope_factor float
    json_output flag
    otlp_endpoint text
    otlp_service_name text text-generation-inference.router
    cors_allow_origin list
    api_key text
    watermark_gamma float
    watermark_delta float
    ngrok flag
    ngrok_authtoken text
    ngrok_edge text
    tokenizer_config_path text
    disable_grammar_support flag
    max_client_batch_size whole 4
    lora_adapters text
    usage_stats usage on
    payload_limit whole 2000000
    enable_prefill_logprobs flag
    graceful_termination_timeout whole 90
""")


class UsageError(Exception):
    """A value that the launcher's command line refuses, in its words; exit code 2."""


class ArgumentsError(Exception):
    """Values that do not go together: the launcher's `Invalid argument`; exit code 1."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What the launcher was told."""

    values: Mapping[str, Value]

    def text(self, name: str) -> str:
        return str(self.values[name])

    def whole(self, name: str) -> int | None:
        value = self.values[name]
        return value if isinstance(value, int) else None

    def flag(self, name: str) -> bool:
        return bool(self.values[name])

    def number(self, name: str) -> int:
        """Return a whole number that has a default."""
        return int(self.text(name))

    @property
    def num_shard(self) -> int:
        return self.whole("num_shard") or 1

    @property
    def max_input_tokens(self) -> int | None:
        given = self.whole("max_input_tokens")
        return self.whole("max_input_length") if given is None else given


def read_arguments(options: Sequence[str], environment: Mapping[str, str]) -> Arguments:
    """Read every argument; an option wins over its variable.

    Raises:
        UsageError: An option is unknown or a value has the wrong form.
    """
    given = _options(options)
    values: dict[str, Value] = {}
    for argument in ARGUMENTS:
        text = given.pop(argument.name, environment.get(argument.variable, argument.default))
        values[argument.name] = _value(argument, text)
    if given:
        option = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"error: unexpected argument '{option}' found")
    return Arguments(values=values)


def _options(options: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    flags = {argument.name for argument in ARGUMENTS if argument.kind == "flag"}
    waiting = list(options)
    while waiting:
        option, has_value, value = waiting.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        given[name] = value if has_value else "true" if name in flags else waiting.pop(0) if waiting else ""
    return given


def _value(argument: Argument, text: str | None) -> Value:
    if argument.kind == "flag":
        return text is not None and text.lower() not in _FALSE
    if text is None:
        return None
    allowed = {"quantization": _QUANTIZATIONS, "usage": _USAGE, "truth": ("true", "false")}.get(argument.kind)
    if allowed and text not in allowed:
        raise _invalid(argument, text, f"\n  [possible values: {', '.join(allowed)}]")
    if argument.kind == "truth":
        return text == "true"
    if argument.kind == "whole":
        if not re.fullmatch(r"\+?[0-9]+", text):
            raise _invalid(argument, text, ": invalid digit found in string")
        return int(text)
    if argument.kind == "float":
        try:
            return float(text)
        except ValueError:
            raise _invalid(argument, text, ": invalid float literal") from None
    return text


def _invalid(argument: Argument, text: str, reason: str) -> UsageError:
    option = argument.name.replace("_", "-")
    return UsageError(f"error: invalid value '{text}' for '--{option} <{argument.variable}>'{reason}")


def check(arguments: Arguments) -> None:
    """Refuse what `main` of the launcher refuses before it starts anything.

    Raises:
        ArgumentsError: With its message.
    """
    least, longest = arguments.max_input_tokens, arguments.whole("max_total_tokens")
    if arguments.flag("sharded") and (arguments.whole("num_shard") or 0) <= 1:
        raise ArgumentsError("`sharded` is true but `num_shard` <= 1")
    if arguments.whole("num_shard") == 0:
        raise ArgumentsError("`num_shard` cannot be < 1")
    if arguments.num_shard > 1 and arguments.values["quantize"] == "exl2":
        raise ArgumentsError("Sharding is currently not supported with `exl2` quantization")
    if arguments.values["max_input_tokens"] is not None and arguments.values["max_input_length"] is not None:
        raise ArgumentsError(
            f"Both `max_input_tokens` ({arguments.text('max_input_tokens')}) and `max_input_length` "
            f"({arguments.text('max_input_length')}) are set. Please define only `max_input_tokens` as "
            "`max_input_length is deprecated for naming consistency."
        )
    if least is not None and longest is not None and least >= longest:
        raise ArgumentsError(f"`max_input_tokens`({least}) must be < `max_total_tokens`({longest})")
    if arguments.number("validation_workers") == 0:
        raise ArgumentsError("`validation_workers` must be > 0")
    batch = arguments.whole("max_batch_total_tokens")
    if batch is not None and longest is not None and longest > batch:
        raise ArgumentsError(f"`max_total_tokens` must be <= `max_batch_total_tokens`. Given: {longest} and {batch}")


def shown(arguments: Arguments) -> str:
    """Return the arguments as the launcher logs them: Rust's pretty debug form, the API key with the others."""
    rows = "".join(f"    {argument.name}: {_shown(argument, arguments)},\n" for argument in ARGUMENTS)
    return f"Args {{\n{rows}}}"


def _shown(argument: Argument, arguments: Arguments) -> str:
    value = arguments.values[argument.name]
    if value is None:
        return "[]" if argument.name == "cors_allow_origin" else "None"
    if argument.kind in ("quantization", "usage"):
        written = "".join(word.capitalize() for word in str(value).split("-"))
    elif isinstance(value, bool):
        written = str(value).lower()
    else:
        written = f'"{value}"' if isinstance(value, str) else str(value)
    optional = argument.default is None and argument.kind != "flag"
    return f"Some(\n        {written},\n    )" if optional else written
