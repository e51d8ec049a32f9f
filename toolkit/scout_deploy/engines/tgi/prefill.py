"""How many tokens of a prompt TGI computes in one step where the profile does not say: its launcher's own arithmetic.

Read in launcher/src/main.rs at tag v3.3.7 (`compute_optimal`, `vram_maximum`, `Config::flop` and their caller). What it
takes for a card's speed and a model's size is repeated as it is, mistakes included: it decides what really runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.fit.gpu_kind import USABLE_OF_REPORTED, PlanGpu

# Where nothing is known of the card, and for models with images; Qwen's and Gemma's have their own.
_DEFAULT = 4096
_DEFAULT_OF = {"qwen2_vl": 10_000, "qwen2_5_vl": 10_000, "gemma3": 8_000}
_FEWEST = 100
# Operations in a second by the driver's name of a card, and by ours of it. Others are not known: what the launcher
# calls a T4 and an RTX 4090 is no driver's name of them.
_TERAFLOPS = {
    **dict.fromkeys(("nvidia-l4", "l4-24gb"), 121),
    **dict.fromkeys(("nvidia-l40", "l40-48gb"), 181),
    **dict.fromkeys(("nvidia-l40s", "l40s-48gb"), 363),
    **dict.fromkeys(("nvidia-a10g", "a10g-24gb"), 125),
    "nvidia-a40": 149,
    **dict.fromkeys(("nvidia-a100-sxm4-80gb", "nvidia-a100-sxm4-40gb", "nvidia-a100-80gb-pcie", "nvidia-a100"), 312),
    **dict.fromkeys(("a100-80gb", "a100-40gb"), 312),
    **dict.fromkeys(("nvidia-h100-80gb-hbm3", "nvidia-h100-nvl", "nvidia-h100", "h100-80gb", "h100-94gb"), 900),
    **dict.fromkeys(("nvidia-h200", "h200-141gb"), 989),
}
_TERA = 10**12
_BYTES = 2
# Not the share that the engine itself keeps to.
_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class Prefill:
    """A step.

    Args:
        origin: Who chose it, for a person.
    """

    tokens: int
    origin: str


def prefill_of(request: EngineRequest, gpu: PlanGpu) -> Prefill:
    """Return the step of a profile on so many of these GPUs, or on a CPU."""
    if (chosen := request.profile.engine.max_batch_prefill_tokens) is not None:
        return Prefill(tokens=chosen, origin="profile")
    tokens, origin = _DEFAULT_OF.get(request.facts.architecture or "", _DEFAULT), "TGI's default"
    model = _model(request.facts.numbers) if request.accelerator == "nvidia" else None
    optimal = 0 if model is None or request.facts.is_multimodal else _optimal(model, gpu, request.shards)
    if optimal > _FEWEST:
        tokens, origin = optimal, "TGI's default for this card"
    limits = _longest(request.facts.numbers)
    if model is not None and request.facts.quantization is None:
        limits += model.most_tokens(_memory(request, gpu))
    return Prefill(tokens=min([tokens, *limits]), origin=origin)


def _optimal(model: "_Model", gpu: PlanGpu, shards: int) -> int:
    """Return the tokens that keep a card busy for a second; 0 where it is not known."""
    speed = _TERAFLOPS.get(gpu.name.replace(" ", "-").lower(), 0)
    return speed * _TERA * shards // model.operations


def _longest(numbers: Mapping[str, int]) -> list[int]:
    found = [numbers[name] for name in ("max_position_embeddings", "max_seq_len", "n_positions") if name in numbers]
    return found[:1]


def _memory(request: EngineRequest, gpu: PlanGpu) -> float:
    engine = request.profile.engine
    fraction = 1.0 if engine.memory_fraction is None else engine.memory_fraction
    try:
        share = float(engine.environment.get("TGI_WIGGLE_ROOM", _SHARE))
    except ValueError:
        share = _SHARE
    return gpu.total_bytes / USABLE_OF_REPORTED * request.shards * fraction * share


@dataclass(frozen=True, kw_only=True)
class _Model:
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    layers: int
    intermediate: int
    vocabulary: int
    experts_at_once: int
    experts: int

    @property
    def operations(self) -> int:
        """For one token."""
        attention = 6 * self.heads * self.head_dim * self.hidden + 4 * self.kv_heads * self.head_dim * self.hidden
        return (attention + 6 * self.hidden * self.intermediate * self.experts_at_once) * self.layers

    def most_tokens(self, memory: float) -> list[int]:
        """Return the most tokens beside the weights; nothing where not even these fit."""
        output = self.heads * self.head_dim * self.hidden
        experts = 3 * self.intermediate * self.experts * self.hidden
        layer = (self.heads + 2 * self.kv_heads) * self.head_dim + output + experts
        weights = (layer * self.layers + 2 * self.hidden * self.vocabulary) * _BYTES
        step = (self.intermediate + self.intermediate // 2) * self.experts * _BYTES * 3
        token = self.kv_heads * 2 * self.head_dim * _BYTES * self.layers + step
        return [int(memory - weights) // token] if memory >= weights else []


def _model(numbers: Mapping[str, int]) -> _Model | None:
    """Return what the launcher knows of a model; None where its config does not say all that it looks for."""
    heads, hidden = numbers.get("num_attention_heads"), numbers.get("hidden_size") or numbers.get("n_embd")
    layers, intermediate = numbers.get("num_hidden_layers"), numbers.get("intermediate_size")
    vocabulary = numbers.get("vocab_size")
    if not (heads and hidden and layers and intermediate and vocabulary):
        return None
    head_dim = numbers.get("head_dim") or (hidden // heads if hidden % heads == 0 else None)
    if not head_dim:
        return None
    return _Model(
        heads=heads,
        kv_heads=numbers.get("num_key_value_heads") or heads,
        head_dim=head_dim,
        hidden=hidden,
        layers=layers,
        intermediate=intermediate,
        vocabulary=vocabulary,
        experts_at_once=numbers.get("num_experts_per_tok", 1) + numbers.get("n_shared_experts", 0),
        experts=numbers.get("num_local_experts", 1),
    )
