"""A profile held against the table of truth."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.engines.tgi import rows_general, rows_llama4, rows_models, rows_quantization
from scout_deploy.engines.tgi.quantization import METHODS, effective_quantization
from scout_deploy.engines.tgi.truth import Case, Row, Setting, find_row
from scout_deploy.engines.tgi.versions import LATEST, LATEST_NUMBERS, Version, parse_version

TABLE: tuple[Row, ...] = (*rows_llama4.ROWS, *rows_models.ROWS, *rows_quantization.ROWS, *rows_general.ROWS)

# The same weights under two names: the shards know both (server/text_generation_server/models/__init__.py `get_model`),
# the launcher only the second, so that it tells the shards nothing of the first.
_ALIASES = {"fbgemm_fp8": "fp8"}
_UNPROVEN = "unproven on hardware"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the table says of one setting.

    Args:
        key: Where the profile says it.
        value: What it says there.
        version: TGI's, as the profile writes it.
        architecture: Of the model.
    """

    key: str
    value: str
    version: str
    architecture: str
    row: Row

    @property
    def is_error(self) -> bool:
        """Whether the engine would refuse it, or accept and then ignore it."""
        return self.row.verdict in {"ignored", "refused"}

    def __str__(self) -> str:
        subject = f"{self.key}: got {self.value}"
        where = f"TGI {self.version}"
        model = "" if self.row.setting == "model" else f" for {self.architecture}"
        reason = f"{self.row.note} (source: {self.row.source})"
        if self.row.verdict == "ignored":
            return f"{subject}, which {where} accepts and then ignores{model}: {reason}"
        if self.row.verdict == "refused":
            return f"{subject}, which {where} refuses{model}: {reason}"
        return f"{_UNPROVEN}: {subject} with {where}: {reason}"


def judge(request: EngineRequest) -> tuple[Finding, ...]:
    """Return what the table says of every setting, as far as the model is known."""
    architecture = request.facts.architecture
    if architecture is None:
        return ()
    engine = request.profile.engine
    version = engine.version or LATEST
    found = []
    for key, case in _cases(request, architecture, parse_version(version) or LATEST_NUMBERS):
        row = find_row(TABLE, case)
        if row is not None and row.verdict != "honoured":
            found.append(Finding(key=key, value=case.value, version=version, architecture=architecture, row=row))
    return tuple(found)


def general_remarks(request: EngineRequest) -> tuple[str, ...]:
    """Return what a user should know that is no row of the table."""
    engine, facts = request.profile.engine, request.facts
    remarks = []
    if facts.architecture is None:
        remarks.append(
            f"{_UNPROVEN}: the model's config.json is not at hand, so what TGI makes of the settings is checked when "
            "the weights are there"
        )
    if engine.image is not None and parse_version(engine.version or "") is None:
        remarks.append(f"engine/version: got {engine.version}, which is no version of TGI; {LATEST} is assumed")
    if request.accelerator == "intel-cpu":
        remarks.append(
            f"{_UNPROVEN}: on a CPU TGI gives its KV cache 95 % of the memory that is free after its warm-up, whoever "
            "needs it later (source: server/text_generation_server/utils/import_utils.py get_cpu_free_memory at v3.3.7)"
        )
    longest = facts.max_position_embeddings
    if engine.context_length is not None and longest is not None and engine.context_length > longest:
        remarks.append(f"engine/context_length: got {engine.context_length}; the model was made for at most {longest}")
    return tuple(remarks)


def _cases(request: EngineRequest, architecture: str, version: Version) -> Iterator[tuple[str, Case]]:
    engine, facts = request.profile.engine, request.facts
    told = effective_quantization(engine, facts)

    def case(setting: Setting, value: str) -> Case:
        return Case(
            setting=setting,
            value=value,
            version=version,
            accelerator=request.accelerator,
            architecture=architecture,
            quantization=told,
            method=facts.quantization,
            format=facts.quantization_format,
            shards=request.shards,
        )

    yield "model", case("model", architecture)
    if told is not None and (engine.quantization is None or told in METHODS):
        key = "engine/quantization" if engine.quantization is not None else "model (its own quantization)"
        method, own = (_ALIASES.get(name or "", name) for name in (told, facts.quantization))
        yield key, replace(case("engine/quantization", method or told), quantization=method, method=own)
    plain: dict[Setting, object] = {
        "engine/dtype": engine.dtype,
        "engine/kv_cache_dtype": engine.kv_cache_dtype,
        "engine/context_length": engine.context_length,
        "engine/memory_fraction": engine.memory_fraction,
        "hardware/gpu_count": request.shards,
    }
    for setting, value in plain.items():
        if value is not None:
            yield setting, case(setting, str(value))
    for name in engine.environment:
        yield f"engine/environment/{name}", case("engine/environment", name)
