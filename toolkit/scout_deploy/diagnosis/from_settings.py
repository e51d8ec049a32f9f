"""What of a deployment a diagnosis needs, from its flattened profile, as its labels keep it."""

from collections.abc import Mapping

from scout_deploy.diagnosis.diagnosis import EngineSettings


def engine_settings(settings: Mapping[str, str], *, image: str, gpu_count: int) -> EngineSettings:
    """Read the settings that an edit is computed from.

    Args:
        settings: `section/key: value`.
        gpu_count: GPUs of one replica, as they were chosen; 0 on a CPU.
    """
    return EngineSettings(
        gpu_count=gpu_count,
        max_batch_prefill_tokens=_integer(settings.get("engine/max_batch_prefill_tokens")),
        context_length=_integer(settings.get("engine/context_length")),
        max_input_tokens=_integer(settings.get("engine/max_input_tokens")),
        memory_fraction=_number(settings.get("engine/memory_fraction")),
        shm_size_gb=_number(settings.get("engine/shm_size_gb")),
        quantization=settings.get("engine/quantization"),
        model_id=settings.get("model/id") or settings.get("model/path"),
        version=settings.get("engine/version"),
        image=image,
        replicas=_integer(settings.get("replicas")) or 1,
        port=_integer(settings.get("proxy/port")) or 0,
    )


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
