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
    """How far the runtime has brought an upstream; whether it answers is for the proxy to observe.

    `standby` is probed and proven but given no requests: the new engine of an update before the switch. `draining`
    gets no new requests and is not probed, but finishes its own; it stays on `/status` until it is taken off the table.
    """

    STARTING = "starting"
    RUNNING = "running"
    STANDBY = "standby"
    DRAINING = "draining"
    FAILED = "failed"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Frozen):
    """The public identity that `GET /` states, whatever checkpoint serves it."""

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)


class Serving(_Frozen):
    """What really answers: shown by `/status`, part of every cache key."""

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


class CachePolicy(StrEnum):
    """Which answers are stored; `deterministic` are those that are greedy or seeded."""

    ALL = "all"
    DETERMINISTIC = "deterministic"
    OFF = "off"


class CacheScope(StrEnum):
    """Who shares stored answers."""

    SHARED = "shared"
    KEY = "key"


class Cache(_Frozen):
    """The response cache; defaults are the contract's.

    Args:
        ttl_s: Seconds after which a stored answer is no longer used.
        samples: How many different answers are kept for one sampled request and served in turn.
        max_entries: The most requests that have stored answers in memory.
        max_bytes: The most memory that stored answers take.
        redis_url_file: A file beside the route table that holds the URL of a Redis server, since that can hold a
            password; None keeps answers in memory alone.
    """

    policy: CachePolicy = CachePolicy.ALL
    ttl_s: float = Field(default=3600, gt=0)
    samples: int = Field(default=1, ge=1)
    scope: CacheScope = CacheScope.SHARED
    max_entries: int = Field(default=10_000, ge=1)
    max_bytes: int = Field(default=268_435_456, ge=1)
    redis_url_file: str | None = None


class ApiKey(_Frozen):
    """One key, by its digest.

    Args:
        id: Its name in logs, metrics and the cache.
        digest: HMAC-SHA256 of the key under the table's salt, in lower-case hexadecimal.
        requests_per_minute: The most requests of a minute; None is without limit.
        max_concurrent: The most requests at once; None is without limit.
    """

    id: str = Field(min_length=1)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    requests_per_minute: float | None = Field(default=None, gt=0)
    max_concurrent: int | None = Field(default=None, ge=1)


class Keys(_Frozen):
    """Who may use the API; without any it is open.

    Args:
        salt: Of every digest, in hexadecimal.
        open_metrics: `GET /metrics` needs no key.
        open_status: `GET /status` needs no key.
    """

    salt: str = Field(pattern="^([0-9a-f]{2}){16,}$")
    keys: tuple[ApiKey, ...] = Field(min_length=1)
    open_metrics: bool = False
    open_status: bool = False


class Cors(_Frozen):
    """Which web pages may use the API from a browser; none unless it is set. `*` is every page."""

    origins: tuple[str, ...] = ()


class Limits(_Frozen):
    """What the proxy allows; defaults are the contract's.

    Args:
        max_body_bytes: Larger request bodies are 413.
        max_num_return_sequences: Upper bound of `num_return_sequences`.
        deadline_s: Seconds from the request's arrival until 504.
        header_timeout_s: Seconds in which a client has to send its request head.
        body_timeout_s: Seconds in which a client has to send its body; 408 after that. Also for how long one that takes
            nothing of its answer is waited for.
        drain_s: Seconds that requests in flight get to finish at shutdown.
        max_waiting: Requests that may wait: for a place at an engine, where one more is 429, and while the table holds
            them, where one more is 503.
    """

    max_body_bytes: int = Field(default=2_000_000, ge=1)
    max_num_return_sequences: int = Field(default=8, ge=1)
    deadline_s: float = Field(default=600, gt=0)
    header_timeout_s: float = Field(default=10, gt=0)
    body_timeout_s: float = Field(default=30, gt=0)
    drain_s: float = Field(default=20, ge=0)
    max_waiting: int = Field(default=1024, ge=0)


class Hold(_Frozen):
    """Requests that find no upstream to take them wait for one, first come first served, instead of being refused.

    Meanwhile `GET /health` is 200 and `GET /` says `active`, since requests are answered: a load balancer that was
    told otherwise would turn them away. Both end when every place is taken, or the hold lasts longer than `max_wait_s`.

    Args:
        max_wait_s: Longest wait of a request from its arrival, within its own deadline; 503 after that.
        estimate_s: Seconds that the toolkit expects the hold to last, where it can be known; shown on `/status`
            and told to the refused as `Retry-After`.
    """

    max_wait_s: float = Field(gt=0)
    estimate_s: float | None = Field(default=None, ge=0)


class Trial(_Frozen):
    """Engines that somebody measures before they get any request: the gate of an update.

    A `POST /generate` whose header `X-Scout-Trial` holds the trial's token goes to them alone, while they are on
    standby; no other request does. It needs no API key, has none's limits, and knows no cache and no hold. That opens
    the API to nobody: the token is random, whoever made it keeps it to itself for the minutes that the trial lasts, and
    only its digest is here. Without a trial, or with another token, the header means nothing.

    Args:
        token_digest: SHA-256 of the token, in lower-case hexadecimal.
        upstreams: Their ids.
        template: Of their model, which the requests of everybody else may not use yet.
    """

    token_digest: str = Field(pattern="^[0-9a-f]{64}$")
    upstreams: tuple[str, ...] = Field(min_length=1)
    template: Template = Template()


class RouteTable(_Frozen):
    """Everything the proxy is told. `revision` grows by one with every change; `hold` is set for an update's swap."""

    revision: int = Field(ge=1)
    deployment: str
    profile: str
    identity: Identity
    serving: Serving
    template: Template = Template()
    limits: Limits = Limits()
    cache: Cache = Cache()
    keys: Keys | None = None
    cors: Cors = Cors()
    upstreams: tuple[Upstream, ...] = ()
    hold: Hold | None = None
    # Written only where it is set: a proxy of before does not know it, and serves no table with what it does not know.
    trial: Trial | None = Field(default=None, exclude_if=lambda trial: trial is None)


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
