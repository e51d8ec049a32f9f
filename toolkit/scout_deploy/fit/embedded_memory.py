"""What the embedded engine takes of the machine's memory: llama.cpp in a process of its own, on the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass

from scout_deploy.fit.tensor import UnusableFactsError
from scout_deploy.gguf.facts import GgufFacts

_MEBIBYTE = 2**20

# Python, the engine's libraries and llama.cpp itself: resident memory of the demonstration model's engine less its
# weights and KV cache, measured for contexts of 512 to 8192 tokens and 1 to 8 slots: 58 MiB, and 110 bytes for each
# token of all slots (llama.cpp's record of a cell). tests/integration/test_embedded_memory.py measures again.
_PROCESS_BYTES = 58 * _MEBIBYTE
_CELL_BYTES = 110
# ggml's block sizes (ggml-common.h): bytes of a block of 32 numbers, or of one number.
_BYTES_OF: Mapping[str, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
_DEFAULT_TYPE = "f16"
# Prompt tokens computed in one step (llama.cpp: `n_ubatch`), each with its logits and some hidden states in float32.
_STEP_TOKENS = 512
_FLOAT_BYTES = 4
_HIDDEN_ALIVE = 8


@dataclass(frozen=True, kw_only=True)
class EmbeddedMemory:
    """Bytes of resident memory.

    Args:
        weights: The whole file's tensors: each is read while a model warms up.
        step: What long prompts need besides, once they come. An estimate.
        correction: What earlier starts on the box took beyond all this.
    """

    process: int
    weights: int
    kv: int
    cells: int
    step: int
    correction: int = 0

    @property
    def started(self) -> int:
        """After the start, before long prompts came."""
        return self.process + self.weights + self.kv + self.cells + self.correction

    @property
    def most(self) -> int:
        """Once long prompts came."""
        return self.started + self.step


def embedded_memory(facts: GgufFacts, *, context: int, slots: int, kv_type: str | None = None) -> EmbeddedMemory:
    """Return what a model needs.

    Layers with a sliding window get a smaller cache in llama.cpp, which is not counted: of such models this says more
    than they take.

    Args:
        context: Tokens of each slot.
        kv_type: A ggml type's name; None for the engine's default.

    Raises:
        UnusableFactsError: The file does not say how many layers or heads there are.
    """
    layers, heads = _number(facts, "block_count"), _number(facts, "attention.head_count")
    kv_heads = _found(facts, "attention.head_count_kv") or heads
    hidden = _number(facts, "embedding_length")
    key = _found(facts, "attention.key_length") or hidden // heads
    value = _found(facts, "attention.value_length") or hidden // heads
    tokens = context * slots
    size = _BYTES_OF.get(kv_type or _DEFAULT_TYPE, _BYTES_OF["f32"])
    step = _FLOAT_BYTES * _STEP_TOKENS * ((facts.vocabulary_size or 0) + _HIDDEN_ALIVE * hidden)
    return EmbeddedMemory(
        process=_PROCESS_BYTES,
        weights=facts.tensor_bytes,
        kv=int(tokens * layers * kv_heads * (key + value) * size),
        cells=tokens * _CELL_BYTES,
        step=step,
    )


def _found(facts: GgufFacts, key: str) -> int | None:
    value = facts.scalars.get(f"{facts.architecture}.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number(facts: GgufFacts, key: str) -> int:
    value = _found(facts, key)
    if value is None:
        raise UnusableFactsError(f"the file does not say {facts.architecture}.{key}")
    return value
