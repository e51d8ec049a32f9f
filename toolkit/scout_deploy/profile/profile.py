"""A profile: what to serve, with which engine, on what hardware, behind which API. Frozen, without secrets."""

from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from scout_deploy.profile.engine import Engine, Hardware, Model
from scout_deploy.profile.proxy import Proxy
from scout_deploy.profile.rules import BrokenRulesError, broken_rules
from scout_deploy.profile.section import Section
from scout_proxy.route_table import Identity

DEMONSTRATION_MODEL = "scout-demo"


class Api(Section):
    """The public identity that `GET /` states, whatever checkpoint serves it; `GET /status` names what really runs."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="The name of the API; without it the model's name and the word API.",
        examples=["Llama 4 Scout-17B API"],
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="The model that the API states; without it `model/id`.",
        examples=["meta-llama/Llama-4-Scout-17B-16E-Instruct"],
    )


class Startup(Section):
    """How long a start may take."""

    timeout_s: float = Field(
        default=600.0,
        gt=0,
        le=604_800,
        description="Seconds from the engine's start until the first generation must have worked, the download of the "
        "weights not counted.",
    )
    stall_after_s: float = Field(
        default=180.0,
        gt=0,
        le=604_800,
        description="Seconds without a log line or a byte after which a start is called stalled; it still goes on.",
    )


class Update(Section):
    """How `up --replace` exchanges the engines of a running deployment."""

    mode: Literal["auto", "blue-green", "hold"] = Field(
        default="auto",
        description="`blue-green`: the new engines start beside the old ones. `hold`: requests wait while the old "
        "engines stop and the new ones start. `auto`: blue-green where enough GPUs are free, else hold.",
    )
    max_hold_s: float = Field(
        default=900.0,
        gt=0,
        le=86_400,
        description="Seconds that a request waits at most for the new engines; their start has the same time, and "
        "beyond it the old engines are started again.",
    )


class ServiceLevel(Section):
    """What users may expect of the service; `scout-deploy bench` finds the highest rate of requests that holds it."""

    @property
    def is_set(self) -> bool:
        """Whether there is anything to hold."""
        return any(value is not None for value in (self.ttft_p99_ms, self.tpot_p99_ms, self.e2e_p99_ms))

    ttft_p99_ms: float | None = Field(
        default=None,
        gt=0,
        le=3_600_000,
        description="Milliseconds until the first token of a stream, which 99 of 100 requests keep; one that fails "
        "keeps none.",
    )
    tpot_p99_ms: float | None = Field(
        default=None,
        gt=0,
        le=3_600_000,
        description="Milliseconds for each token after the first, on average over one stream, which 99 of 100 requests "
        "keep.",
    )
    e2e_p99_ms: float | None = Field(
        default=None,
        gt=0,
        le=3_600_000,
        description="Milliseconds until the whole answer, which 99 of 100 requests keep.",
    )
    goodput: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The share of the requests that keep all of these at once; without it each is judged by itself.",
        examples=[0.98],
    )


class Profile(Section):
    """Everything that a deployment is made from.

    Raises:
        pydantic.ValidationError: A value is not of its key's kind, or keys contradict each other
            (`BrokenRulesError` is then the error's cause).
    """

    description: str = Field(default="", description="What the profile is for; the first line is shown in lists.")
    model: Model = Field(default=Model(), description="What to serve.")
    api: Api = Field(default=Api(), description="The public identity that `GET /` states.")
    engine: Engine = Field(description="What runs the model.")
    hardware: Hardware = Field(default=Hardware(), description="What the profile is for, and which devices it takes.")
    replicas: int = Field(
        default=1, ge=1, le=64, description="How many engines serve the same model, each on GPUs of its own."
    )
    proxy: Proxy = Field(default=Proxy(), description="What stands before the engines and keeps the documented API.")
    startup: Startup = Field(default=Startup(), description="How long a start may take.")
    update: Update = Field(default=Update(), description="How `up --replace` exchanges the engines.")
    service_level: ServiceLevel = Field(
        default=ServiceLevel(), description="What users may expect; `scout-deploy bench` measures against it."
    )

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        broken = broken_rules(
            model=self.model, engine=self.engine, hardware=self.hardware, proxy=self.proxy, replicas=self.replicas
        )
        if broken:
            raise BrokenRulesError(broken)
        return self

    def identity(self) -> Identity:
        """Return the API's public name and model, the defaults filled in."""
        model = self.api.model or self.model.id or _name_of_file(self.model.path) or DEMONSTRATION_MODEL
        return Identity(name=self.api.name or f"{model} API", model=model)


def _name_of_file(path: str | None) -> str | None:
    return None if path is None else PurePath(path).name.removesuffix(".gguf")
