"""What `scout-deploy plan` shows of a profile for the embedded engine."""

from dataclasses import dataclass
from typing import Any

from scout_deploy.cli.fit_view import correction_document
from scout_deploy.cli.output import Output
from scout_deploy.embedded_plan import EmbeddedStart, corrected
from scout_deploy.errors import GpuUnavailableError, ProfileError
from scout_deploy.fit.correction import NO_CORRECTION, Correction
from scout_deploy.fit.embedded_memory import EmbeddedMemory
from scout_deploy.fit.measured_start import MeasuredStart
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.machine import machine_name
from scout_deploy.model_file import locate_model_file
from scout_deploy.plan import DEFAULT_SLOTS, default_context
from scout_deploy.processes import available_here_bytes
from scout_deploy.profile.loader import LoadedProfile
from scout_deploy.progress import Tell
from scout_proxy.version import __version__

_MEBIBYTE = 2**20
_SMALLER = (
    "choose a smaller context (--set engine.context_length=N), fewer slots (--set engine.slots=1) or a smaller file"
)


@dataclass(frozen=True, kw_only=True)
class EmbeddedPlan:
    """A profile on this machine's memory."""

    context: int
    slots: int
    memory: EmbeddedMemory
    available: int
    correction: Correction = NO_CORRECTION

    @property
    def works(self) -> bool:
        """Whether the memory suffices, long prompts included."""
        return self.memory.most <= self.available

    @property
    def head(self) -> str:
        """The verdict, for a person."""
        return "FITS" if self.works else "DOES NOT WORK"

    @property
    def need(self) -> str:
        """What is needed and what is there, for a person."""
        return f"needs {_mib(self.memory.most)} of memory, and {_mib(self.available)} are available"

    @property
    def document(self) -> dict[str, Any]:
        """Every number, as JSON has it."""
        memory = self.memory
        return {
            "verdict": "fits" if self.works else "no",
            "context": self.context,
            "slots": self.slots,
            "available_bytes": self.available,
            "process_bytes": memory.process,
            "weights_bytes": memory.weights,
            "kv_bytes": memory.kv,
            "cells_bytes": memory.cells,
            "correction_bytes": memory.correction,
            "started_bytes": memory.started,
            "step_bytes": memory.step,
            "correction": correction_document(self.correction),
        }


def plan_embedded_memory(loaded: LoadedProfile, context: int | None, starts: tuple[MeasuredStart, ...]) -> EmbeddedPlan:
    """Plan the profile for this machine.

    Args:
        starts: What earlier starts really took, on this machine and on others.

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
    start = EmbeddedStart(model=path, context=tokens, slots=slots, kv_type=engine.kv_cache_dtype)
    memory, correction = corrected(start.memory(), start.setting(machine_name(), __version__), starts)
    return EmbeddedPlan(
        context=tokens, slots=slots, memory=memory, available=available_here_bytes(), correction=correction
    )


def check_embedded_memory(loaded: LoadedProfile, plan: EmbeddedPlan, tell: Tell, *, insists: bool) -> None:
    """Refuse a start that the memory does not suffice for, unless the user insists.

    Raises:
        GpuUnavailableError: It does not.
    """
    if plan.works:
        return
    if insists:
        tell("note", f"started although the plan says no: it {plan.need}")
        return
    raise GpuUnavailableError(
        f"the plan says that this cannot work: it {plan.need}",
        next_step=f"{_SMALLER} (scout-deploy plan --profile {loaded.name} says what takes it); "
        "up --force starts it all the same",
    )


def show_embedded(output: Output, loaded: LoadedProfile, plan: EmbeddedPlan) -> None:
    """Print it, the verdict first."""
    output.document({"profile": loaded.name, **plan.document})
    memory = plan.memory
    output.line(f"{plan.head}: {loaded.name}: {plan.need}", style="bold green" if plan.works else "bold red")
    if not plan.works:
        output.line(f"next: {_SMALLER}")
    output.line()
    output.line(f"{'slots':<18}{plan.slots}, each with a context of {plan.context:,} tokens")
    learnt = plan.correction
    rows = (
        ("process", memory.process, ""),
        ("weights", memory.weights, ""),
        ("KV cache", memory.kv, ""),
        ("its cells", memory.cells, ""),
        *([("learnt here", memory.correction, learnt.origin)] if learnt.starts else []),
        ("after the start", memory.started, ""),
        ("long prompts", memory.step, ""),
    )
    for title, size, words in rows:
        output.line(f"{title:<18}{_mib(size):>12}  {words}".rstrip())
    if learnt.left_out is not None:
        output.line(f"note: {learnt.left_out}", style="yellow")


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MEBIBYTE:,.0f} MiB"
