"""How TGI's own deaths look in its log, and what to change.

The texts are those of TGI 3.3.7 (`launcher/src/main.rs`, `server/text_generation_server`) and of what users posted of
older releases.
"""

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.diagnosis.evidence import in_log
from scout_deploy.diagnosis.machine import explain_killed, explain_missing_instruction, explain_small_shared_memory
from scout_deploy.diagnosis.shards import fewer_shards
from scout_deploy.diagnosis.signature import Evidence, Signature
from scout_deploy.engines.tgi.memory_failures import memory_signatures

_GPU = 5
_ENGINE = 7


def tgi_signatures() -> tuple[Signature, ...]:
    """Return TGI's deaths, the most specific first.

    A launcher says of every shard that "Shard N failed to start", and ends them all when one of them dies: neither is
    a cause, so neither is here.
    """
    return (*memory_signatures(), *_shard_signatures(), *_model_signatures(), *_signal_signatures())


def _shard_signatures() -> tuple[Signature, ...]:
    return (
        Signature(
            name="wrong-shard-count",
            matcher=in_log("AssertionError: Each process is one (gpu|xpu)|NotEnoughCUDADevices"),
            explain=_too_few_gpus,
        ),
        Signature(
            name="indivisible-shards",
            matcher=in_log(
                r"num_(key_value_)?heads` must be divisible by `num_shards`|not compatible with sharding on \d+ shards"
            ),
            explain=_indivisible,
        ),
        Signature(name="unshardable-model", matcher=in_log("sharded is not supported for"), explain=_unshardable),
    )


def _model_signatures() -> tuple[Signature, ...]:
    return (
        Signature(
            name="unsupported-gpu",
            matcher=in_log("requires Flash Attention enabled models"),
            explain=_unsupported_gpu,
        ),
        Signature(
            name="unsupported-quantization",
            matcher=in_log(
                r"quantization is not supported for|Cannot load \S+ .*make sure the model is already quanti"
            ),
            explain=_unsupported_quantization,
        ),
        Signature(
            name="unsupported-model", matcher=in_log(r"ValueError: Unsupported model type"), explain=_unsupported_model
        ),
        Signature(
            name="engine-too-old",
            matcher=in_log(
                r"ImportError: cannot import name '\w+' from 'transformers'"
                r"|Transformers does not recognize this architecture"
            ),
            explain=_too_old,
        ),
    )


def _signal_signatures() -> tuple[Signature, ...]:
    return (
        Signature(name="small-shared-memory", matcher=in_log(_ended_by(7)), explain=explain_small_shared_memory),
        Signature(name="missing-cpu-instruction", matcher=in_log(_ended_by(4)), explain=explain_missing_instruction),
        Signature(name="killed", matcher=in_log(_ended_by(9)), explain=explain_killed),
    )


def _ended_by(signal: int) -> str:
    return rf"(Shard|Download) process was signaled to shutdown with signal {signal}\b"


def _model(settings: EngineSettings) -> str:
    return settings.model_id or "this model"


def _too_few_gpus(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    fewer = fewer_shards(settings.gpu_count)
    edits = (
        ()
        if fewer is None
        else (ProfileEdit(key="hardware/gpu_count", value=str(fewer), why="where the model fits on so few"),)
    )
    return Diagnosis(
        name="wrong-shard-count",
        cause=f"TGI was to split the model over {settings.gpu_count} GPUs and sees fewer in its container",
        evidence=evidence,
        edits=edits,
        next_step="check what the Docker host has (nvidia-smi -L) and what its containers get (scout-deploy doctor)",
        exit_code=_GPU,
    )


def _indivisible(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    fewer = fewer_shards(settings.gpu_count)
    edits = (
        ()
        if fewer is None
        else (ProfileEdit(key="hardware/gpu_count", value=str(fewer), why="the next smaller count that may divide it"),)
    )
    return Diagnosis(
        name="indivisible-shards",
        cause=f"{_model(settings)} cannot be split evenly over {settings.gpu_count} GPUs",
        evidence=evidence,
        edits=edits,
        next_step=None if edits else "choose a model whose attention heads the number of GPUs divides",
        exit_code=_ENGINE,
    )


def _unshardable(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="unshardable-model",
        cause=f"TGI can run {_model(settings)} on one GPU only, because it has no code of its own for it",
        evidence=evidence,
        edits=(ProfileEdit(key="hardware/gpu_count", value="1", why="where it fits on one"),),
        next_step="choose a model that TGI knows",
        exit_code=_ENGINE,
    )


def _unsupported_gpu(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    return Diagnosis(
        name="unsupported-gpu",
        cause=f"TGI runs {_model(settings)} only with Flash Attention, which these GPUs or this image do not have",
        evidence=evidence,
        next_step="use GPUs of NVIDIA's Ampere generation or newer (such as A10, A100, L40S, H100) and the published "
        "image for them",
        exit_code=_GPU,
    )


def _unsupported_quantization(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    asked = f"the quantization '{settings.quantization}'" if settings.quantization else "this quantization"
    edits = (
        (
            ProfileEdit(
                key="engine/quantization", value="null", why="TGI then reads from the weights how they are stored"
            ),
        )
        if settings.quantization
        else ()
    )
    return Diagnosis(
        name="unsupported-quantization",
        cause=f"TGI does not support {asked} for {_model(settings)}, or its weights are not stored that way",
        evidence=evidence,
        edits=edits,
        next_step="choose weights that were published in a format that TGI reads for this model",
        exit_code=_ENGINE,
    )


def _unsupported_model(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    version = f" {settings.version}" if settings.version else ""
    return Diagnosis(
        name="unsupported-model",
        cause=f"TGI{version} has no code for the architecture of {_model(settings)}",
        evidence=evidence,
        next_step="set engine.version to a newer release if one knows it, or choose another model",
        exit_code=_ENGINE,
    )


def _too_old(_: Death, settings: EngineSettings, evidence: Evidence) -> Diagnosis:
    what = f"TGI {settings.version}" if settings.version else settings.image
    is_llama_4 = any("Llama4" in line for line in evidence)
    edits = (
        (ProfileEdit(key="engine/version", value="3.3.7", why="Llama 4 needs TGI 3.2.3 or newer"),)
        if is_llama_4
        else ()
    )
    return Diagnosis(
        name="engine-too-old",
        cause=f"the transformers library in {what} does not know {_model(settings)}",
        evidence=evidence,
        edits=edits,
        next_step=None if edits else "set engine.version to a newer release if one knows it, or choose another model",
        exit_code=_ENGINE,
    )
