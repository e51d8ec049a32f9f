"""The embedded engine's memory, planned for a profile and for a deployment that runs, and what its starts teach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from scout_deploy.errors import DeployError, ModelFileError
from scout_deploy.fit.correction import MOST_OF_PROCESS, Correction, correction_of
from scout_deploy.fit.embedded_memory import EmbeddedMemory, embedded_memory
from scout_deploy.fit.measured_start import EmbeddedPrediction, Measured, MeasuredStart, Setting
from scout_deploy.fit.tensor import UnusableFactsError
from scout_deploy.gguf.facts import read_gguf
from scout_deploy.processes import ProcessIdentity

_DEVICE = "CPU"


@dataclass(frozen=True, kw_only=True)
class EmbeddedStart:
    """What one engine is, or was, started with.

    Args:
        context: Tokens of each slot.
        kv_type: A ggml type's name; None for the engine's default.
    """

    model: Path
    context: int
    slots: int
    kv_type: str | None = None

    def memory(self) -> EmbeddedMemory:
        """Return what it needs by the arithmetic.

        Raises:
            ModelFileError: The file cannot be read, or does not say enough.
        """
        return memory_of_file(self.model, context=self.context, slots=self.slots, kv_type=self.kv_type)

    def setting(self, box: str, version: str) -> Setting:
        """Say what is started where.

        Args:
            version: The product's, whose engine it is.
        """
        return Setting(
            box=box,
            device=_DEVICE,
            engine=f"embedded {version}",
            model=str(self.model),
            kv_type=self.kv_type,
            slots=self.slots,
            context=self.context,
        )


def start_of_command(argv: Sequence[str]) -> EmbeddedStart | None:
    """Read a running engine's command line; None where it is not one of ours."""
    options = dict(pairwise(argv))
    model, context, slots = options.get("--model"), options.get("--context", ""), options.get("--slots", "")
    if model is None or not context.isdigit() or not slots.isdigit():
        return None
    kv_type = options.get("--kv-cache-dtype")
    return EmbeddedStart(model=Path(model), context=int(context), slots=int(slots), kv_type=kv_type)


def memory_of_file(path: Path, *, context: int, slots: int, kv_type: str | None) -> EmbeddedMemory:
    """Return what an engine over this file needs.

    Raises:
        ModelFileError: It cannot be read, or does not say enough.
    """
    try:
        return embedded_memory(read_gguf(path), context=context, slots=slots, kv_type=kv_type)
    except UnusableFactsError as exc:
        raise ModelFileError(f"{path}: {exc}", next_step="choose another file of this model") from exc


def memory_of_command(argv: Sequence[str]) -> EmbeddedMemory | None:
    """Return what a running engine needs by the arithmetic, from its command line; None where that cannot be told."""
    start = start_of_command(argv)
    try:
        return None if start is None else start.memory()
    except DeployError:
        # The file is gone or was exchanged; that is no trouble of what runs.
        return None


def corrected(
    memory: EmbeddedMemory, setting: Setting, starts: Iterable[MeasuredStart]
) -> tuple[EmbeddedMemory, Correction]:
    """Return the memory with what earlier starts on the box teach of it."""
    correction = correction_of(setting, starts, most_bytes=MOST_OF_PROCESS * memory.started)
    return replace(memory, correction=correction.size), correction


def instance_of(process: ProcessIdentity) -> str:
    """Name a process as its measurement is kept."""
    return f"process {process.pid} {process.birth}"


def measured_start(
    setting: Setting, memory: EmbeddedMemory, process: ProcessIdentity, resident_bytes: int, at_s: float
) -> MeasuredStart:
    """Return what is kept of an engine that serves.

    Args:
        memory: As it was planned, corrections included.
        at_s: Seconds since the epoch.
    """
    return MeasuredStart(
        at_s=at_s,
        instance=instance_of(process),
        setting=setting,
        predicted=EmbeddedPrediction(
            process=memory.process,
            weights=memory.weights,
            kv=memory.kv,
            cells=memory.cells,
            step=memory.step,
            correction=memory.correction,
        ),
        measured=Measured(resident_bytes=resident_bytes),
    )
