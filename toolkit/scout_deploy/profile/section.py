"""What every section of a profile has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a profile: frozen, without unknown keys, and without conversions between YAML's types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
