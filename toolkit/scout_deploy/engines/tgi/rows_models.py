"""The rows that say which architectures a version loads."""

from scout_deploy.engines.tgi.architectures import BY_TRANSFORMERS, OWN_CODE, OWN_CODE_WITHOUT_KV_DTYPE, PADDED
from scout_deploy.engines.tgi.truth import Row
from scout_deploy.engines.tgi.versions import Version

_TYPES = "server/text_generation_server/models/__init__.py ModelType"


def _since(version: Version, *architectures: str) -> Row:
    text = ".".join(map(str, version))
    return Row(
        setting="model",
        architectures=architectures,
        before=version,
        verdict="refused",
        note=f"TGI loads it since {text}",
        source=f"{_TYPES} at v{text} and the tag before",
    )


ROWS: tuple[Row, ...] = (
    _since((3, 0, 2), "idefics3"),
    _since((3, 1, 0), "deepseek_v3"),
    _since((3, 1, 1), "qwen2_5_vl"),
    _since((3, 2, 0), "gemma3", "gemma3_text"),
    Row(
        setting="model",
        architectures=("qwen3", "qwen3_moe", "glm4"),
        before=(3, 2, 3),
        verdict="refused",
        note="it needs transformers 4.51, which TGI has since 3.2.3",
        source="server/uv.lock at v3.2.2 and v3.2.3",
    ),
    Row(
        setting="model",
        architectures=(*OWN_CODE, *OWN_CODE_WITHOUT_KV_DTYPE),
        verdict="honoured",
        note="TGI has code of its own for it",
        source=f"{_TYPES} at v3.3.7",
    ),
    Row(
        setting="model",
        architectures=PADDED,
        verdict="unproven",
        note="it runs on TGI's old code, without flash attention",
        source=f"{_TYPES} at v3.3.7",
    ),
    Row(
        setting="model",
        architectures=BY_TRANSFORMERS,
        before=(3, 1, 0),
        verdict="refused",
        note="TGI runs the code of transformers since 3.1.0",
        source="server/text_generation_server/models/__init__.py at v3.0.2 and v3.1.0",
    ),
    Row(
        setting="model",
        architectures=BY_TRANSFORMERS,
        verdict="unproven",
        note="TGI has no code for it and runs that of transformers",
        source="server/text_generation_server/models/__init__.py get_model (TransformersFlashCausalLM) at v3.3.7",
    ),
    Row(
        setting="model",
        verdict="unproven",
        note="the table does not know this architecture; TGI runs it if its transformers 4.51 does",
        source="server/text_generation_server/models/__init__.py get_model at v3.3.7",
    ),
)
