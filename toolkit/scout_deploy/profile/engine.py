"""The sections of a profile that say what runs, and on what: `model`, `engine` and `hardware`."""

from typing import Annotated, Literal

from pydantic import Field

from scout_deploy.profile.section import Section

VARIABLE_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"

_Setting = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Model(Section):
    """What to serve."""

    id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="The model's id on the Hugging Face hub. With neither `id` nor `path`, the embedded engine serves "
        "the demonstration model that ships with scout-deploy.",
        examples=["meta-llama/Llama-4-Scout-17B-16E-Instruct"],
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="The branch, tag or commit of `id`; without it the hub's main branch.",
        examples=["main"],
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="Weights on this machine: a GGUF file for the embedded engine, a directory for TGI. A relative "
        "path starts at the folder of the file that names it; `~` is your home. Beside `id`, it says where the weights "
        "of that model are.",
        examples=["~/models/my-model.gguf"],
    )


class Engine(Section):
    """What runs the model. A key that the engine would ignore for this model is refused before anything starts."""

    kind: Literal["embedded", "tgi"] = Field(
        description="`embedded`: llama.cpp as a process of this user, on the CPU, from a GGUF file. `tgi`: Hugging "
        "Face Text Generation Inference in a container, on GPUs.",
    )
    version: _Setting | None = Field(
        default=None, description="TGI's version; needed with `tgi`. Not for `embedded`.", examples=["3.3.7"]
    )
    image: str | None = Field(
        default=None,
        pattern=r"^[^\s]+$",
        description="A container image to use instead of the published one of `version`. Not for `embedded`.",
        examples=["registry.example/text-generation-inference:3.3.7"],
    )
    quantization: _Setting | None = Field(
        default=None,
        description="How the weights are stored, where that is not full precision. Not for `embedded`: a GGUF file "
        "says it itself.",
        examples=["compressed-tensors"],
    )
    dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        default=None,
        description="The number format computed in; without it the engine's choice. Not for `embedded`.",
    )
    kv_cache_dtype: _Setting | None = Field(
        default=None,
        description="The number format of the KV cache, in the engine's own words; without it the engine's choice.",
        examples=["q8_0", "fp8_e4m3fn"],
    )
    context_length: int | None = Field(
        default=None,
        ge=16,
        le=16_777_216,
        description="The most tokens of one sequence, prompt and answer together; without it the engine's choice.",
    )
    max_input_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The most tokens of a prompt; without it one less than the context.",
    )
    max_batch_prefill_tokens: int | None = Field(
        default=None,
        ge=1,
        description="The most prompt tokens computed in one step: less takes less GPU memory, more answers long "
        "prompts sooner. Not for `embedded`.",
    )
    max_concurrent_requests: int = Field(
        default=128, ge=1, le=65_536, description="The most requests that the engine accepts at a time."
    )
    memory_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="The share of each GPU's memory that the engine may take; without it all of it. Not for "
        "`embedded`.",
    )
    shm_size_gb: float | None = Field(
        default=None,
        gt=0,
        description="The shared memory of the engine's container, in GB (10^9 bytes), through which its shards talk; "
        "without it 1 for each GPU. Not for `embedded`.",
    )
    slots: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="The sequences generated at the same time, each with memory for a full context; without it 8. "
        "Only for `embedded`.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="The CPU threads to compute with; without it the engine's choice. Only for `embedded`.",
    )
    environment: dict[Annotated[str, Field(pattern=VARIABLE_NAME)], str] = Field(
        default_factory=dict,
        description="Further environment variables of the engine. Never a token, a key or a password: containers show "
        "their environment to whoever may inspect them.",
        examples=[{"NCCL_DEBUG": "INFO"}],
    )


class Hardware(Section):
    """What the profile is for, and which devices it takes."""

    gpu_count: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="The GPUs of one replica; the model is split over them.",
    )
    gpu_kind: str | None = Field(
        default=None,
        min_length=1,
        description="The GPUs that the profile is meant for, as in the driver's name of them.",
        examples=["A100"],
    )
    gpu_memory_gb: float | None = Field(
        default=None, gt=0, description="The memory that each of those GPUs has, in GB (10^9 bytes) as sold."
    )
    gpu_ids: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        min_length=1,
        description="These GPUs of the machine and no others, by the driver's index: `gpu_count` for each replica.",
        examples=[[0, 1]],
    )
    device_map: Literal["auto"] | None = Field(
        default=None,
        description="`auto`: choose among the GPUs of this machine that are free (`gpu_count` of them where that is "
        "set). Not together with `gpu_ids`.",
    )
    cpu_only: bool = Field(default=False, description="No GPU is used, also where there is one.")
