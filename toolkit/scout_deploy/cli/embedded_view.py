"""What `scout-deploy plan` shows of a profile for the embedded engine."""

from dataclasses import dataclass
from typing import Any

from scout_deploy.cli.output import Output
from scout_deploy.embedded_plan import memory_of_file
from scout_deploy.errors import ProfileError
from scout_deploy.fit.embedded_memory import EmbeddedMemory
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.model_file import locate_model_file
from scout_deploy.plan import DEFAULT_SLOTS, default_context
from scout_deploy.processes import available_bytes
from scout_deploy.profile.loader import LoadedProfile

_MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class EmbeddedPlan:
    """A profile on this machine's memory."""

    context: int
    slots: int
    memory: EmbeddedMemory
    available: int

    @property
    def works(self) -> bool:
        """Whether the memory suffices, long prompts included."""
        return self.memory.most <= self.available


def plan_embedded_memory(loaded: LoadedProfile, context: int | None) -> EmbeddedPlan:
    """Plan the profile for this machine.

    Raises:
        ModelFileError: The model's file is missing or says too little.
        ProfileError: The context is beyond the model's own.
    """
    engine, path = loaded.profile.engine, locate_model_file(loaded.profile)
    facts = read_gguf(path)
    tokens = context or engine.context_length or default_context(facts)
    if facts.context_length is not None and tokens > facts.context_length:
        raise ProfileError(
            f"engine/context_length: got {tokens}; the model was made for at most {facts.context_length}",
            next_step=f"--context {facts.context_length}, or less",
        )
    slots = engine.slots or DEFAULT_SLOTS
    memory = memory_of_file(path, context=tokens, slots=slots, kv_type=engine.kv_cache_dtype)
    return EmbeddedPlan(context=tokens, slots=slots, memory=memory, available=available_bytes())


def show_embedded(output: Output, loaded: LoadedProfile, plan: EmbeddedPlan) -> None:
    """Print it, the verdict first."""
    output.document(_document(loaded, plan))
    memory = plan.memory
    head, style = ("FITS", "bold green") if plan.works else ("DOES NOT WORK", "bold red")
    need = f"needs {_mib(memory.most)} of memory, and {_mib(plan.available)} are available"
    output.line(f"{head}: {loaded.name}: {need}", style=style)
    if not plan.works:
        output.line("next: choose a smaller context (--context), fewer slots (--set engine.slots=1) or a smaller file")
    output.line()
    output.line(f"{'slots':<18}{plan.slots}, each with a context of {plan.context:,} tokens")
    for title, size in (
        ("process", memory.process),
        ("weights", memory.weights),
        ("KV cache", memory.kv),
        ("its cells", memory.cells),
        ("after the start", memory.started),
        ("long prompts", memory.step),
    ):
        output.line(f"{title:<18}{_mib(size):>12}")


def _document(loaded: LoadedProfile, plan: EmbeddedPlan) -> dict[str, Any]:
    memory = plan.memory
    return {
        "profile": loaded.name,
        "verdict": "fits" if plan.works else "no",
        "context": plan.context,
        "slots": plan.slots,
        "available_bytes": plan.available,
        "process_bytes": memory.process,
        "weights_bytes": memory.weights,
        "kv_bytes": memory.kv,
        "cells_bytes": memory.cells,
        "started_bytes": memory.started,
        "step_bytes": memory.step,
    }


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MEBIBYTE:,.0f} MiB"
