"""A model as a plan needs it: its shape, its tensors, and where both are from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scout_deploy.fit.shape import ModelShape, read_shape
from scout_deploy.fit.tensor import Tensor, UnusableFactsError, expand, gather, record_of_tensors
from scout_deploy.model_facts import ModelFacts, facts_of_config


@dataclass(frozen=True, kw_only=True)
class FitModel:
    """One checkpoint.

    Args:
        source: Where this is from, in words for a person.
    """

    name: str
    facts: ModelFacts
    shape: ModelShape
    tensors: tuple[Tensor, ...]
    source: str

    @property
    def stored_bytes(self) -> int:
        """What the weights take in their files."""
        return sum(tensor.stored_bytes for tensor in self.tensors)


def model_of(name: str, config: Mapping[str, Any], tensors: tuple[Tensor, ...], source: str) -> FitModel:
    """Return the model.

    Raises:
        UnusableFactsError: The config or the tensors make no model.
    """
    if not tensors:
        raise UnusableFactsError("it has no tensors")
    return FitModel(
        name=name, facts=facts_of_config(config), shape=read_shape(config), tensors=gather(tensors), source=source
    )


def record_of(name: str, config: Mapping[str, Any], tensors: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return what can be kept as JSON, and read again with `model_of_record`."""
    return {"model": name, "config": dict(config), "tensors": record_of_tensors(tensors)}


def model_of_record(record: Mapping[str, Any], source: str) -> FitModel:
    """Return the model that was recorded.

    Raises:
        UnusableFactsError: It is no record of a model.
    """
    name, config, tensors = record.get("model"), record.get("config"), record.get("tensors")
    if not isinstance(name, str) or not isinstance(config, dict) or not isinstance(tensors, dict):
        raise UnusableFactsError("the record names no model, config or tensors")
    return model_of(name, config, tuple(expand(tensors)), source)
