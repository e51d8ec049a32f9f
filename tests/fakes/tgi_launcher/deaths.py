"""What a dying shard or router says: the texts of TGI's own source and of the libraries that it names."""

import signal
from dataclasses import dataclass
from pathlib import Path

from fakes.tgi_launcher.arguments import Arguments
from fakes.tgi_launcher.play import At, Play, PlayError

# torch.cuda of PyTorch 2.7, which TGI 3.3.7 locks.
_CUDA_OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU {rank} has a total capacity of "
    "79.25 GiB of which 1.06 GiB is free. Process 4242 has 78.18 GiB memory in use. Of the allocated memory 77.33 GiB "
    "is allocated by PyTorch, and 3.95 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory "
    "is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation "
    "for Memory Management  (https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
# server/text_generation_server/utils/dist.py
_ONE_GPU_EACH = "AssertionError: Each process is one gpu"
# server/text_generation_server/models/flash_causal_lm.py, with `{tokens}` from --max-batch-prefill-tokens
_PREFILL = "Not enough memory to handle {tokens} prefill tokens. You need to decrease `--max-batch-prefill-tokens`"
# server/text_generation_server/models/__init__.py
_QUANTIZATION = "NotImplementedError: {quantize} quantization is not supported for AutoModel"
# huggingface_hub/utils/_http.py
_GATED = (
    "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-68000000)\n\n"
    "Cannot access gated repo for url https://huggingface.co/api/models/{model_id}.\n"
    "Access to model {model_id} is restricted and you are not in the authorized list. "
    "Visit https://huggingface.co/{model_id} to ask for access."
)
# transformers/utils/hub.py
NO_CONFIG = "OSError: {model_id} does not appear to have a file named config.json."
# server/text_generation_server/utils/hub.py
NO_WEIGHTS = "FileNotFoundError: No local weights found in {model_id} with extension .safetensors"
# huggingface_hub/utils/_http.py
NOT_LOCAL = (
    "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/api/models/{model_id}: "
    "offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable."
)
# server/text_generation_server/models/custom_modeling/flash_llama_modeling.py
_HEADS = (
    "ValueError: `num_heads` must be divisible by `num_shards` (got `num_heads`: {heads} and `num_shards`: {shards}"
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """How a play ends.

    Attributes:
        at: The phase that it ends in.
        text: What the process that dies says, in its last words.
        method: The gRPC method that failed, once a shard is ready.
        signal: The signal that ended the shard.
        waits: It never ends; `"lines"` goes on to say that it waits, `"silent"` says nothing.
        eats: Which process takes memory until it is killed.
        exit_code: It ends at once with this code, and without the launcher's own words.
    """

    at: At
    text: str = ""
    method: str = ""
    signal: int | None = None
    waits: str = ""
    eats: str = ""
    exit_code: int | None = None


def script(play: Play, arguments: Arguments, model: Path) -> Script:
    """Return how this play ends.

    Raises:
        PlayError: The recorded lines are not there.
    """
    tokens = arguments.whole("max_batch_prefill_tokens") or 4096
    oom = _CUDA_OOM.format(rank=play.rank)
    scripts = {
        "oom-load": Script(at="load", text=oom),
        "oom-warmup": Script(at="warm-up", method="Warmup", text=_PREFILL.format(tokens=tokens)),
        "oom-serving": Script(at="serving", method="Decode", text=oom),
        "sigbus": Script(at="load", signal=signal.SIGBUS),
        "sigill": Script(at="load", signal=signal.SIGILL),
        "num-shard": Script(at="load", text=_ONE_GPU_EACH),
        "quantization": Script(
            at="load", text=_QUANTIZATION.format(quantize=str(arguments.values["quantize"] or "awq"))
        ),
        "gated": Script(at="download", text=_GATED.format(model_id=arguments.text("model_id"))),
        "never-ready": Script(at="load", waits="lines"),
        "hang-load": Script(at="load", waits="silent"),
        "hang-warmup": Script(at="warm-up", waits="silent"),
        "crash": Script(at="serving", signal=signal.SIGKILL),
        "eat-memory": Script(at="load", eats="shard"),
        "eat-memory-launcher": Script(at="load", eats="launcher"),
    }
    return _recorded(play, model) if play.die == "recorded" else scripts[play.die]


def _recorded(play: Play, model: Path) -> Script:
    try:
        text = (model / play.lines_file).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise PlayError(f"the recorded lines cannot be read: {error}") from error
    return Script(at=play.at, text=text, exit_code=play.exit_code)


def uneven_heads(heads: int, shards: int) -> str:
    """Return what a shard says when the heads cannot be parted among the shards."""
    return _HEADS.format(heads=heads, shards=shards)
