"""The route table: the only contract between the toolkit, which writes it, and the proxy, which serves it.

It is declared state: where the upstreams are and how far their start has come. What the proxy observes of
them is on `/status`. It may import nothing but pydantic and the standard library, because the toolkit uses it too.
"""

import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class RouteTableError(Exception):
    """The route table is missing, unreadable or not of this form; the message names the file and the reason."""


class PromptFormat(StrEnum):
    """How the prompt of a documented request reaches the model."""

    AUTO = "auto"
    RAW = "raw"


class UpstreamState(StrEnum):
    """How far the runtime has brought an upstream; whether it answers is for the proxy to observe."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Frozen):
    """The public identity that `GET /` states, whatever checkpoint serves it."""

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)


class Serving(_Frozen):
    """What really answers: shown by `/status`, part of every cache key later."""

    model_id: str
    revision: str | None = None
    engine: str
    engine_version: str | None = None
    quantization: str | None = None
    dtype: str | None = None
    kv_cache_dtype: str | None = None
    context_length: int | None = Field(default=None, ge=1)


class Phase(_Frozen):
    """One phase of an upstream's start, in the toolkit's words.

    Args:
        name: Such as `load` or `warm-up`.
        percent: Of this phase, 0 to 100, where it can be known.
        estimate_s: Seconds until the upstream serves, where it can be known.
        detail: One line for a person.
    """

    name: str
    percent: float | None = Field(default=None, ge=0, le=100)
    estimate_s: float | None = Field(default=None, ge=0)
    detail: str | None = None


class Upstream(_Frozen):
    """One engine, reached over HTTP. `protocol` names how to speak to it."""

    id: str
    url: str
    protocol: Literal["tgi"] = "tgi"
    state: UpstreamState = UpstreamState.STARTING
    phase: Phase | None = None


class Template(_Frozen):
    """What the proxy needs to put a bare prompt or ChatML into the model's own chat format.

    Args:
        prompt_format: The profile's choice; `auto` needs `chat_template`, without one prompts are sent as they are.
        chat_template: Jinja2 source as the model's publisher ships it; None where the model has none.
        special_tokens: Every control token's text, longest first; these lose their meaning inside message content.
    """

    prompt_format: PromptFormat = PromptFormat.AUTO
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    special_tokens: tuple[str, ...] = ()


class Limits(_Frozen):
    """What the proxy allows; defaults are the contract's.

    Args:
        max_body_bytes: Larger request bodies are 413.
        max_num_return_sequences: Upper bound of `num_return_sequences`.
        deadline_s: Seconds from the request's arrival until 504.
        header_timeout_s: Seconds in which a client has to send its request head.
        body_timeout_s: Seconds in which a client has to send its body; 408 after that.
        drain_s: Seconds that requests in flight get to finish at shutdown.
    """

    max_body_bytes: int = Field(default=2_000_000, ge=1)
    max_num_return_sequences: int = Field(default=8, ge=1)
    deadline_s: float = Field(default=600, gt=0)
    header_timeout_s: float = Field(default=10, gt=0)
    body_timeout_s: float = Field(default=30, gt=0)
    drain_s: float = Field(default=20, ge=0)


class RouteTable(_Frozen):
    """Everything the proxy is told. `revision` grows by one with every change."""

    revision: int = Field(ge=1)
    deployment: str
    profile: str
    identity: Identity
    serving: Serving
    template: Template = Template()
    limits: Limits = Limits()
    upstreams: tuple[Upstream, ...] = ()


def read_route_table(path: Path) -> RouteTable:
    """Read a route table file.

    Raises:
        RouteTableError: The file cannot be read, or is not a route table.
    """
    try:
        return RouteTable.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise RouteTableError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = "/".join(map(str, first["loc"])) or "(root)"
        raise RouteTableError(f"{path}: {where}: {first['msg']}") from exc


def write_route_table(path: Path, table: RouteTable) -> None:
    """Replace the file at once, so that a reader sees the old table or the new one and never a part.

    Raises:
        OSError: The directory cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(table.model_dump_json(indent=2))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
