"""A death in words: its cause, what shows it, and the change that would help."""

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ProfileEdit:
    """One change of a profile that would help.

    Args:
        key: The path in the profile, such as `engine/max_batch_prefill_tokens`.
        value: As YAML would have it.
        why: One clause.
    """

    key: str
    value: str
    why: str

    @property
    def text(self) -> str:
        """The edit as a shell takes it, such as `--set engine.max_batch_prefill_tokens=2048`."""
        return f"--set {shlex.quote(f'{self.dotted_key}={self.value}')}"

    @property
    def dotted_key(self) -> str:
        """The key as `--set` has it."""
        return self.key.replace("/", ".")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why an engine died.

    Args:
        name: Of the signature that matched, such as `out-of-memory-at-warm-up`; `unknown` where none did.
        cause: One sentence.
        evidence: The very log lines and facts that show it.
        edits: Changes of the profile that would help, the best one first.
        next_step: What else to do, where no edit helps or an edit is only one way.
        exit_code: The exit status that `scout-deploy up` ends with.
    """

    name: str
    cause: str
    evidence: tuple[str, ...]
    edits: tuple[ProfileEdit, ...] = ()
    next_step: str | None = None
    exit_code: int = 7


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What an edit is computed from; None where the profile leaves it to the engine.

    Args:
        gpu_count: GPUs of one replica; 0 on a CPU.
        model_id: The hub's id, or the path of the weights.
        image: The image's reference, tag or digest included.
        port: The one published on the host.
    """

    gpu_count: int
    max_batch_prefill_tokens: int | None
    context_length: int | None
    max_input_tokens: int | None
    memory_fraction: float | None
    shm_size_gb: float | None
    quantization: str | None
    model_id: str | None
    version: str | None
    image: str
    replicas: int
    port: int
