"""A start as it was predicted and as it was measured. Pure; the same for engines on GPUs and for the embedded one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

_Finite = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class _Value(BaseModel):
    # A later version may keep more of a start; what it adds is passed over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Setting(_Value):
    """What was started where.

    Args:
        box: The machine's name, or the address of its Docker daemon.
        device: The GPU's name as its driver says it; `CPU` for the embedded engine.
        shards: GPUs of one replica.
        engine: The engine and its version: an image's reference, or the embedded engine's version.
        model: Its id on the hub, or its path.
        prefill_tokens: Of a prompt, computed in one step.
        slots: Sequences at once; of the embedded engine alone.
        context: Tokens of one sequence; None for what the engine takes by itself.
    """

    box: str
    device: str
    shards: PositiveInt = 1
    engine: str
    model: str
    commit: str | None = None
    quantization: str | None = None
    kv_type: str | None = None
    prefill_tokens: int | None = None
    slots: int | None = None
    context: int | None = None

    @property
    def place(self) -> tuple[str, str, int, str]:
        """What the memory that an engine takes beside the model depends on."""
        return self.box, self.device, self.shards, self.engine

    @property
    def checkpoint(self) -> tuple[str, str | None]:
        """The model in its number format; a later commit of it has the same tensors."""
        return self.model, self.quantization

    @property
    def choices(self) -> tuple[str | int | None, ...]:
        """Everything else that memory depends on."""
        return self.kv_type, self.prefill_tokens, self.slots, self.context


class GpuPrediction(_Value):
    """What the ledger of the fullest GPU said, in bytes; see `Ledger` for the fields of that name.

    Args:
        correction: What earlier starts had taught by then; it is counted in `kv`.
    """

    kind: Literal["gpu"] = "gpu"
    total: PositiveInt
    held: int
    context: int
    weights: int
    step: int
    graphs: int
    kv: int
    kv_token: PositiveInt
    kv_tokens: NonNegativeInt
    correction: int = 0

    @property
    def started(self) -> int:
        """What is in use after the start, before long prompts came."""
        return self.held + self.context + self.correction + self.weights + max(0, self.kv) + self.graphs

    @property
    def most(self) -> int:
        """Once long prompts came."""
        return self.started + self.step


class EmbeddedPrediction(_Value):
    """What the embedded engine was to take of the machine's memory, in bytes; see `EmbeddedMemory`."""

    kind: Literal["embedded"] = "embedded"
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


class Measured(_Value):
    """What was read after the start; None where it could not be.

    Args:
        kv_tokens: That the engine says its KV cache holds.
        used_bytes: Of each of its GPUs, whoever uses it, in the order of their indexes.
        resident_bytes: Of the embedded engine's process.
    """

    kv_tokens: NonNegativeInt | None = None
    used_bytes: tuple[int | None, ...] = ()
    resident_bytes: NonNegativeInt | None = None


class Planned(_Value):
    """What a plan said of an engine that was then started; kept with it."""

    setting: Setting
    prediction: GpuPrediction


class MeasuredStart(_Value):
    """One engine's start.

    Args:
        at_s: When it was measured, seconds since the epoch.
        instance: The container's id, or the process.
    """

    at_s: _Finite
    instance: str
    setting: Setting
    predicted: Annotated[GpuPrediction | EmbeddedPrediction, Field(discriminator="kind")]
    measured: Measured

    @property
    def excess(self) -> int | None:
        """Bytes that it took beyond the arithmetic, earlier corrections left out; negative where it took less."""
        if isinstance(self.predicted, EmbeddedPrediction):
            resident = self.measured.resident_bytes
            return None if resident is None else resident - (self.predicted.started - self.predicted.correction)
        # The engine gives its KV cache what is left, so that what it has not, something else took.
        tokens, book = self.measured.kv_tokens, self.predicted
        return None if tokens is None else book.kv + book.correction - tokens * book.kv_token


def read_planned(text: str) -> Planned | None:
    """Return what was kept with an engine; None for what is not ours."""
    try:
        return Planned.model_validate_json(text)
    except ValidationError:
        return None
