"""What the models of the shipped profiles are, for plans that are made where neither weights nor network are at hand.

Each is a file in `fit/models` that says where its numbers are from. What a checkpoint is quantized with is the
compressed-tensors format that its publisher's name of it says: FP8-dynamic is `float-quantized`, w4a16 is
`pack-quantized`. Once a checkpoint is there, its own files count. A record is `unchecked` where no published number
of parameters or bytes confirms it.
"""

import json
from pathlib import Path
from typing import Any

from scout_deploy.fit.model import FitModel, model_of_record
from scout_deploy.model_facts import ModelFacts, facts_of_config


def known_facts(model_id: str | None) -> ModelFacts | None:
    """Return the recorded facts of a model; None where none are recorded."""
    record = _record(model_id)
    return None if record is None else facts_of_config(record["config"])


def known_model(model_id: str | None) -> FitModel | None:
    """Return the recorded model with its tensors; None where none is recorded."""
    record = _record(model_id)
    if record is None:
        return None
    doubt = ", not checked against the checkpoint" if record.get("unchecked") else ""
    return model_of_record(record, f"recorded with this product{doubt}")


def _record(model_id: str | None) -> dict[str, Any] | None:
    file = _files().get((model_id or "").lower())
    if file is None:
        return None
    path = Path(__file__).parent / "fit/models" / file
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _files() -> dict[str, str]:
    return {
        "meta-llama/llama-4-scout-17b-16e-instruct": "llama-4-scout-bf16.json",
        "redhatai/llama-4-scout-17b-16e-instruct-fp8-dynamic": "llama-4-scout-fp8.json",
        "redhatai/llama-4-scout-17b-16e-instruct-quantized.w4a16": "llama-4-scout-w4a16.json",
        "meta-llama/llama-3.1-8b-instruct": "llama-3.1-8b.json",
        "meta-llama/llama-3.3-70b-instruct": "llama-3.3-70b.json",
        "qwen/qwen2.5-1.5b-instruct": "qwen-2.5-1.5b.json",
    }
