"""The embedded engine's memory, planned for a profile and for a deployment that runs."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from scout_deploy.errors import DeployError, ModelFileError
from scout_deploy.fit.embedded_memory import EmbeddedMemory, embedded_memory
from scout_deploy.fit.tensor import UnusableFactsError
from scout_deploy.gguf.facts import read_gguf


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
    """Return what a running engine was predicted to need, from its command line; None where that cannot be told."""
    options = dict(pairwise(argv))
    model, context, slots = options.get("--model"), options.get("--context", ""), options.get("--slots", "")
    if model is None or not context.isdigit() or not slots.isdigit():
        return None
    try:
        return memory_of_file(
            Path(model), context=int(context), slots=int(slots), kv_type=options.get("--kv-cache-dtype")
        )
    except DeployError:
        # The file is gone or was exchanged; that is no trouble of what runs.
        return None
