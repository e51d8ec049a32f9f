"""The section `proxy` of a profile: what stands before the engines and keeps the documented API."""

from typing import Annotated, Literal

from pydantic import Field

from scout_deploy.profile.engine import VARIABLE_NAME
from scout_deploy.profile.section import Section

_Origin = Annotated[
    str,
    Field(
        pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[^\s/]+)$",
        examples=["https://chat.example.org"],
    ),
]


class Limits(Section):
    """What one request may cost; the names and defaults are those of the route table."""

    max_body_bytes: int = Field(default=2_000_000, ge=1, description="A larger request body is answered with 413.")
    max_num_return_sequences: int = Field(
        default=8, ge=1, le=1024, description="The largest `num_return_sequences` of a request."
    )
    deadline_s: float = Field(
        default=600.0, gt=0, description="Seconds from a request's arrival until it is answered with 504."
    )
    header_timeout_s: float = Field(default=10.0, gt=0, description="Seconds that a client has to send its headers.")
    body_timeout_s: float = Field(default=30.0, gt=0, description="Seconds that a client has to send its body.")
    drain_s: float = Field(default=20.0, ge=0, description="Seconds that requests in flight get when the proxy stops.")


class Cache(Section):
    """The response cache."""

    policy: Literal["all", "deterministic", "off"] = Field(
        default="all",
        description="`all`: a repeated request gets the stored answer, sampled ones too. `deterministic`: only greedy "
        "and seeded answers are stored. `off`: nothing is.",
    )
    ttl_s: float = Field(default=3600.0, gt=0, description="Seconds after which a stored answer is no longer used.")
    samples: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many different answers are kept for one sampled request and served in turn.",
    )
    scope: Literal["shared", "key"] = Field(
        default="shared", description="`shared`: one cache for all API keys. `key`: one for each; needs `proxy/keys`."
    )
    max_entries: int = Field(default=10_000, ge=1, description="The most answers that are stored.")
    max_bytes: int = Field(default=268_435_456, ge=1, description="The most memory that stored answers take, in bytes.")
    store: Literal["memory", "redis"] = Field(
        default="memory", description="`memory`: in the proxy. `redis`: shared by several proxies."
    )
    redis_url_variable: str | None = Field(
        default=None,
        pattern=VARIABLE_NAME,
        description="The name of the environment variable that holds the URL of the Redis server; needed with `redis`.",
        examples=["SCOUT_REDIS_URL"],
    )


class Queue(Section):
    """Where requests wait that the engine has no place for."""

    max_waiting: int = Field(
        default=1024, ge=0, le=1_000_000, description="The most requests that wait; one more is answered with 429."
    )


class Keys(Section):
    """Who may use the API. A profile never holds a key itself; with neither `file` nor `variable` the API is open."""

    @property
    def are_set(self) -> bool:
        """Whether the API asks for a key."""
        return self.file is not None or self.variable is not None

    file: str | None = Field(
        default=None,
        min_length=1,
        description="A file with the API keys, one on each line: `name: key`, and behind it "
        "`requests_per_minute=60` or `max_concurrent=4` where this key has limits of its own (`=none` lifts those of "
        "all). `scout-deploy keys new NAME` makes one. Nobody else of the machine may be able to read it (chmod 600). "
        "A relative path starts at the folder of the file that names it.",
        examples=["~/.config/scout-deploy/keys"],
    )
    variable: str | None = Field(
        default=None,
        pattern=VARIABLE_NAME,
        description="The name of the environment variable that holds the API keys, as the file would; a semicolon ends "
        "a line too. Not together with `file`.",
        examples=["SCOUT_API_KEYS"],
    )
    requests_per_minute: float | None = Field(
        default=None,
        gt=0,
        description="The most requests of a minute for each key that says nothing else; without it there is no limit.",
    )
    max_concurrent: int | None = Field(
        default=None,
        ge=1,
        description="The most requests at once for each key that says nothing else; without it there is no limit.",
    )
    open_metrics: bool = Field(default=False, description="`GET /metrics` needs no key, also where keys are set.")
    open_status: bool = Field(default=False, description="`GET /status` needs no key, also where keys are set.")


class Cors(Section):
    """Which web pages may use the API from a browser; none without it."""

    origins: tuple[_Origin, ...] = Field(
        default=(),
        description="Where those pages come from, each as scheme://host or scheme://host:port. `*` is every page: set "
        "`keys` then.",
        examples=[["https://chat.example.org"]],
    )


class Log(Section):
    """What the proxy writes about its work."""

    format: Literal["text", "json"] = Field(default="text", description="How the lines of the proxy's log are written.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Events below this level are not written."
    )
    access: Literal["off", "sampled", "all"] = Field(
        default="off",
        description="Which requests get a line. `sampled`: those that failed and one in a hundred of the others. Needs "
        "the level info or debug.",
    )
    prompts: bool = Field(
        default=False,
        description="These lines hold the prompts: whoever reads the log reads what users wrote. Needs `access`.",
    )


class Tracing(Section):
    """Where spans of requests go; nowhere without it."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="The base URL of an OTLP/HTTP receiver, to which spans of requests go. What it asks for in headers "
        "is no key of a profile: see OTEL_EXPORTER_OTLP_HEADERS in the README.",
        examples=["http://collector.example:4318"],
    )


class Proxy(Section):
    """The proxy that answers the documented API."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="The address to listen on. `0.0.0.0` opens the API to the network: set `keys` then.",
    )
    port: int = Field(default=2025, ge=1, le=65_535, description="The port of the API.")
    base_image: str = Field(
        default="python:3.13-slim",
        pattern=r"^[^\s]+$",
        description="The image with Python that the proxy's own image is built on. Only for `tgi`.",
    )
    image: str | None = Field(
        default=None,
        pattern=r"^[^\s]+$",
        description="A proxy image built beforehand, for a machine that cannot build one. Only for `tgi`.",
        examples=["registry.example/scout-deploy-proxy:0.1.0"],
    )
    prompt_format: Literal["auto", "raw"] = Field(
        default="auto",
        description="`auto`: a bare prompt, or ChatML, is put into the model's own chat template. `raw`: it is sent as "
        "it is.",
    )
    limits: Limits = Field(default=Limits(), description="What one request may cost.")
    cache: Cache = Field(default=Cache(), description="The response cache.")
    queue: Queue = Field(default=Queue(), description="Where requests wait that the engine has no place for.")
    keys: Keys = Field(default=Keys(), description="Who may use the API; open to all who reach the port without it.")
    cors: Cors = Field(default=Cors(), description="Which web pages may use the API from a browser; none without it.")
    log: Log = Field(default=Log(), description="What the proxy writes about its work.")
    tracing: Tracing = Field(default=Tracing(), description="Where spans of requests go; nowhere without it.")
