"""What `status` says of the GPUs' memory: predicted beside measured, for each engine."""

from collections.abc import Iterator
from dataclasses import dataclass

from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.fit.measured_start import GpuPrediction, read_planned
from scout_deploy.fit.verdict import gb
from scout_deploy.memory_history import memory_history
from scout_deploy.runtimes.container_runtime import ContainerRuntime
from scout_deploy.runtimes.engine_memory import used_bytes


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """One running engine on its GPUs.

    Args:
        indexes: Of its GPUs, as the driver counts them.
        used_bytes: What is in use of each now, whoever uses it; empty where that cannot be told.
        predicted: At its start; None where nothing was.
        kv_tokens: That the engine said its cache holds, at its start; None where this user did not start it.
    """

    indexes: tuple[int, ...]
    used_bytes: tuple[int | None, ...]
    predicted: GpuPrediction | None
    kv_tokens: int | None

    @property
    def document(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        told = self.predicted
        return {
            "gpus": [
                {"index": index, "used_bytes": used} for index, used in zip(self.indexes, self._used, strict=True)
            ],
            "kv_tokens": self.kv_tokens,
            "predicted": None
            if told is None
            else {
                "each_gpu_bytes": told.started,
                "each_gpu_most_bytes": told.most,
                "kv_tokens": told.kv_tokens,
                "correction_bytes": told.correction,
            },
        }

    def lines(self, container: str) -> Iterator[str]:
        """Yield it for a person."""
        told = self.predicted
        for index, used in zip(self.indexes, self._used, strict=True):
            words = [] if used is None else [f"{gb(used)} in use"]
            if told is not None:
                words += [f"{gb(told.started)} predicted", f"up to {gb(told.most)} once long prompts come"]
            if words:
                yield f"{container}, GPU {index}: {', '.join(words)}"
        if told is not None:
            own = "" if self.kv_tokens is None else f"{self.kv_tokens:,} tokens by the engine's own word, "
            yield f"{container}: KV cache: {own}{told.kv_tokens:,} predicted"

    @property
    def _used(self) -> tuple[int | None, ...]:
        return self.used_bytes or (None,) * len(self.indexes)


def look_at_gpus(runtime: ContainerRuntime, seen: ContainerObservation) -> dict[str, GpuMemory]:
    """Ask the running engines that have GPUs for them, by their containers' names."""
    running = [one for one in seen.all_engines if one.is_running and labels.read_gpus(one.labels)]
    kept = memory_history(runtime.directories)
    found = {}
    for one in running:
        planned, start = read_planned(one.labels.get(labels.PLANNED, "")), kept.start_of(one.id)
        found[one.name] = GpuMemory(
            indexes=tuple(sorted(labels.read_gpus(one.labels))),
            used_bytes=used_bytes(runtime.engine, one),
            predicted=None if planned is None else planned.prediction,
            kv_tokens=None if start is None else start.measured.kv_tokens,
        )
    return found
