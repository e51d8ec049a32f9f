"""TGI without enough GPU memory: while it loads, while it warms up, or while it serves.

The arithmetic behind the edits is TGI 3.3.7's, in `server/text_generation_server/models/flash_causal_lm.py` and
`utils/dist.py`: `CUDA_MEMORY_FRACTION` caps what PyTorch may take at all, so less of it never makes room for a prompt;
`TGI_WIGGLE_ROOM` is the part of that which warm-up fills, KV cache included. Unproven on hardware.
"""

import re
from dataclasses import replace

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.diagnosis.evidence import in_log
from scout_deploy.diagnosis.shards import more_shards
from scout_deploy.diagnosis.signature import Evidence, Signature

DEFAULT_PREFILL_TOKENS = 4096
"""What TGI's launcher takes for models with images, and where it cannot compute a better number."""
_LEAST_PREFILL_TOKENS = 256
_FIRST_MAJOR_WITH_CHUNKING = 3
_WIGGLE_ROOM = "0.8"
_LOWER_FRACTION = 0.9
_ENGINE = 7

_any_out_of_memory = in_log(
    r"(CUDA|HIP) out of memory|torch\.(cuda\.)?OutOfMemoryError|Cuda failure (\d+ )?'out of memory'"
)
_no_room_for_prefill = in_log("Not enough memory to handle .*prefill tokens|Unable to warmup model: .*out of memory")
_warming_up = in_log(r"Method Warmup encountered an error|Error: Warmup\(")
_serving = in_log(r"Method (Prefill|Decode) encountered an error|:(prefill|decode)\{|Request failed during generation")


def memory_signatures() -> tuple[Signature, ...]:
    """Return the three, the most specific first."""
    return (
        Signature(name="out-of-memory-at-warm-up", matcher=_match_warm_up, explain=_explain_warm_up),
        Signature(name="out-of-memory-after-warm-up", matcher=_match_serving, explain=_explain_serving),
        Signature(name="out-of-memory-at-load", matcher=_out_of_memory, explain=_explain_load),
    )


def _out_of_memory(death: Death) -> Evidence | None:
    return _any_out_of_memory(replace(death, lines=_without_graphs(death.lines)))


def _without_graphs(lines: tuple[str, ...]) -> tuple[str, ...]:
    # Where memory does not suffice for CUDA graphs, TGI shows the error and goes on without them; no post shows one.
    kept = []
    is_graphs = False
    for line in lines:
        if "text_generation_" in line and '  File "' not in line:
            is_graphs = "Decode cuda graph warmup failed" in line
        if not is_graphs:
            kept.append(line)
    return tuple(kept)


def _match_warm_up(death: Death) -> Evidence | None:
    if death.was_ready:
        return None
    if (evidence := _no_room_for_prefill(death)) is not None:
        return evidence
    evidence = _out_of_memory(death)
    if evidence is None or death.phase == "warm-up":
        return evidence
    seen = _warming_up(death)
    return None if seen is None else (*evidence, *seen)


def _match_serving(death: Death) -> Evidence | None:
    evidence = _out_of_memory(death)
    if evidence is None or death.was_ready:
        return evidence
    seen = _serving(death)
    return None if seen is None else tuple(dict.fromkeys((*evidence, *seen)))


def _explain_load(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    next_step = "stop what else uses these GPUs (nvidia-smi)"
    if settings.quantization is None:
        next_step += ", or take a profile whose weights are quantized already (scout-deploy profiles list)"
    return Diagnosis(
        name="out-of-memory-at-load",
        cause=f"the weights of {settings.model_id or 'the model'} do not fit on {_gpus(settings)}",
        evidence=evidence,
        edits=_more_gpus(settings, "each holds a smaller part of the weights"),
        next_step=next_step,
        exit_code=_ENGINE,
    )


def _explain_warm_up(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    tokens = _prefill_tokens(settings, evidence)
    return Diagnosis(
        name="out-of-memory-at-warm-up",
        cause=f"beside the weights, {_gpus(settings)} had no room for a prompt of {tokens} tokens during warm-up",
        evidence=evidence,
        edits=(
            *_fewer_prefill_tokens(settings, tokens),
            *_whole_memory(settings),
            *_more_gpus(settings, "each holds less of the weights"),
        ),
        next_step="stop what else uses these GPUs (nvidia-smi)",
        exit_code=_ENGINE,
    )


def _explain_serving(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    tokens = settings.max_batch_prefill_tokens or DEFAULT_PREFILL_TOKENS
    return Diagnosis(
        name="out-of-memory-after-warm-up",
        cause=f"{_gpus(settings)} ran out of memory while answering, after a warm-up that had fitted",
        evidence=evidence,
        edits=(
            ProfileEdit(
                key="engine/environment/TGI_WIGGLE_ROOM",
                value=f'"{_WIGGLE_ROOM}"',
                why="warm-up leaves more of the memory free",
            ),
            *_fewer_prefill_tokens(settings, tokens),
            *_lower_fraction(settings),
        ),
        exit_code=_ENGINE,
    )


def _gpus(settings: EngineSettings) -> str:
    return "the GPU" if settings.gpu_count <= 1 else f"the {settings.gpu_count} GPUs"


def _prefill_tokens(settings: EngineSettings, evidence: Evidence) -> int:
    said = re.search(r"handle (\d+) prefill tokens", " ".join(evidence))
    return int(said[1]) if said else settings.max_batch_prefill_tokens or DEFAULT_PREFILL_TOKENS


def _fewer_prefill_tokens(settings: EngineSettings, tokens: int) -> tuple[ProfileEdit, ...]:
    half = max(tokens // 2, _least_prefill_tokens(settings))
    if half >= tokens:
        return ()
    why = (
        f"half of {tokens}, less memory for each step of a prompt"
        if half == tokens // 2
        else (f"down from {tokens}, as low as the longest prompt allows")
    )
    return (ProfileEdit(key="engine/max_batch_prefill_tokens", value=str(half), why=why),)


def _least_prefill_tokens(settings: EngineSettings) -> int:
    if _has_chunking(settings.version):
        return _LEAST_PREFILL_TOKENS
    # Without chunking, a prompt is computed in one step and TGI refuses a smaller one at the start.
    longest = settings.max_input_tokens or (settings.context_length - 1 if settings.context_length else 0)
    return max(longest, _LEAST_PREFILL_TOKENS)


def _has_chunking(version: str | None) -> bool:
    major = (version or "").partition(".")[0]
    return major.isdigit() and int(major) >= _FIRST_MAJOR_WITH_CHUNKING


def _whole_memory(settings: EngineSettings) -> tuple[ProfileEdit, ...]:
    if settings.memory_fraction is None or settings.memory_fraction >= 1:
        return ()
    why = f"up from {settings.memory_fraction:g}, where nothing else needs the rest"
    return (ProfileEdit(key="engine/memory_fraction", value="1.0", why=why),)


def _lower_fraction(settings: EngineSettings) -> tuple[ProfileEdit, ...]:
    if settings.memory_fraction is not None and settings.memory_fraction <= _LOWER_FRACTION:
        return ()
    why = "leaves memory to what PyTorch does not count, such as NCCL and other programs"
    return (ProfileEdit(key="engine/memory_fraction", value=str(_LOWER_FRACTION), why=why),)


def _more_gpus(settings: EngineSettings, why: str) -> tuple[ProfileEdit, ...]:
    count = more_shards(settings.gpu_count) if settings.gpu_count > 0 else None
    return () if count is None else (ProfileEdit(key="hardware/gpu_count", value=str(count), why=why),)
