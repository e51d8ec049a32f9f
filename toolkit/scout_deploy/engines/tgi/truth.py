"""The table of truth: what TGI really does with a setting, per version, hardware, architecture and checkpoint.

TGI accepts flags that the code of a model then never reads. What a row says was read in TGI's source at the tag named
in it; where only a run could tell, and nobody reports one, the row says `unproven`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scout_deploy.engines.container_engine import Accelerator
from scout_deploy.engines.tgi.versions import Version

Verdict = Literal["honoured", "ignored", "refused", "unproven"]
Setting = Literal[
    "model",
    "engine/quantization",
    "engine/dtype",
    "engine/kv_cache_dtype",
    "engine/context_length",
    "engine/memory_fraction",
    "hardware/gpu_count",
    "engine/environment",
]
# How the checkpoint is quantized, seen from the quantization asked for: not at all, just so, or otherwise.
Checkpoint = Literal["plain", "same", "other"]

ANY = "*"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One setting of one profile.

    Args:
        value: The setting's value as text; of `model` the architecture, of `engine/environment` the variable's name.
        quantization: What the shards will be told, from the flag or the checkpoint; None where nothing is quantized.
        method: The checkpoint's own quantization.
        format: What that did, such as `pack-quantized`.
    """

    setting: Setting
    value: str
    version: Version
    accelerator: Accelerator
    architecture: str
    quantization: str | None = None
    method: str | None = None
    format: str | None = None
    shards: int = 1

    @property
    def checkpoint(self) -> Checkpoint:
        """How the checkpoint is quantized, seen from `quantization`."""
        if self.method is None:
            return "plain"
        return "same" if self.method == self.quantization else "other"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What TGI does in the cases that it matches; an empty tuple or None matches all.

    Args:
        above: Only values that are numbers above this one.
        since: First version that it holds for.
        before: First version that it no longer holds for.
        methods: Of the checkpoint.
        beside: Quantizations that the shards are told; `none` for none.
        sharded: Only where the model is split over several GPUs, or only where it is not.
        note: One clause for a person.
        source: File and function of TGI, at its tag, or an address.
    """

    setting: Setting
    verdict: Verdict
    note: str
    source: str
    values: tuple[str, ...] = ()
    above: int | None = None
    architectures: tuple[str, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    since: Version | None = None
    before: Version | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    methods: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    sharded: bool | None = None

    def matches(self, case: Case) -> bool:
        """Tell whether the row says something about this case."""
        return (
            self.setting == case.setting
            and _among(case.value, self.values)
            and (self.above is None or (case.value.isdigit() and int(case.value) > self.above))
            and _among(case.architecture, self.architectures)
            and _among(case.accelerator, self.accelerators)
            and (self.since is None or case.version >= self.since)
            and (self.before is None or case.version < self.before)
            and _among(case.checkpoint, self.checkpoints)
            and _among(case.method or "none", self.methods)
            and _among(case.format or "none", self.formats)
            and _among(case.quantization or "none", self.beside)
            and (self.sharded is None or self.sharded == (case.shards > 1))
        )


def find_row(rows: Iterable[Row], case: Case) -> Row | None:
    """Return the first row that matches; the special ones stand before the general ones."""
    return next((row for row in rows if row.matches(case)), None)


def _among(value: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or value in allowed
