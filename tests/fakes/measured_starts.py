"""Starts as they might have been measured on a box."""

from scout_deploy.fit.measured_start import GpuPrediction, Measured, MeasuredStart, Setting

H100 = "NVIDIA H100 80GB HBM3"
GB = 10**9
KV_TOKEN = 49_152
# 2026-11-20, 12:00:00 UTC.
NOON_S = 1_795_176_000.0

SETTING = Setting(
    box="gpu-box",
    device=H100,
    shards=4,
    engine="ghcr.io/huggingface/text-generation-inference:3.3.7",
    model="meta-llama/Llama-4-Scout-17B-16E-Instruct",
    prefill_tokens=4096,
    context=8192,
)
PREDICTION = GpuPrediction(
    total=85 * GB,
    held=0,
    context=1_400_000_000,
    weights=57 * GB,
    step=2_400_000_000,
    graphs=400_000_000,
    kv=300_000 * KV_TOKEN,
    kv_token=KV_TOKEN,
    kv_tokens=300_000,
)


def measured_start(
    excess: int, *, setting: Setting = SETTING, at_s: float = NOON_S, instance: str = "c0ffee"
) -> MeasuredStart:
    """Return a start that took so many bytes more than predicted on each GPU, in whole tokens of KV cache."""
    tokens = PREDICTION.kv_tokens - excess // KV_TOKEN
    return MeasuredStart(
        at_s=at_s, instance=instance, setting=setting, predicted=PREDICTION, measured=Measured(kv_tokens=tokens)
    )
