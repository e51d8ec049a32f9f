"""From a request to the launcher's environment. Every flag of the launcher is also a variable, and a variable may hold
spaces, which the image's entrypoint would split in an argument (tgi-entrypoint.sh: `text-generation-launcher $@`).

Sources are named by file and function of TGI at tag v3.3.7.
"""

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.engines.tgi.quantization import dtype_for_launcher

# Below 1024 the process would need a capability, and the image's own 80 is below.
PORT = 8080
# launcher/src/main.rs: `graceful_termination_timeout`, 90 s by default; written down because the container's stop
# timeout has to be longer.
GRACE_S = 90
STOP_TIMEOUT_S = GRACE_S + 10
# The documented API takes any number of stop strings; TGI's default is 4 (router/src/validation.rs: StopSequence).
_MAX_STOP_SEQUENCES = 64

# What the plan decides, and the key of the profile that says it; None where nobody but the plan may.
OWNED_VARIABLES: dict[str, str | None] = {
    "MODEL_ID": "model/id or model/path",
    "REVISION": "model/revision",
    "NUM_SHARD": "hardware/gpu_count",
    "SHARDED": "hardware/gpu_count",
    "CUDA_VISIBLE_DEVICES": "hardware/gpu_ids",
    "NVIDIA_VISIBLE_DEVICES": "hardware/gpu_ids",
    "HIP_VISIBLE_DEVICES": "hardware/gpu_ids",
    "ROCR_VISIBLE_DEVICES": "hardware/gpu_ids",
    "QUANTIZE": "engine/quantization",
    "DTYPE": "engine/dtype",
    "KV_CACHE_DTYPE": "engine/kv_cache_dtype",
    "MAX_TOTAL_TOKENS": "engine/context_length",
    "MAX_INPUT_TOKENS": "engine/max_input_tokens",
    "MAX_INPUT_LENGTH": "engine/max_input_tokens",
    "MAX_BATCH_PREFILL_TOKENS": "engine/max_batch_prefill_tokens",
    "MAX_CONCURRENT_REQUESTS": "engine/max_concurrent_requests",
    "CUDA_MEMORY_FRACTION": "engine/memory_fraction",
    "PAYLOAD_LIMIT": "proxy/limits/max_body_bytes",
    "PORT": None,
    "HOSTNAME": None,
    "HF_HUB_OFFLINE": None,
    "GRACEFUL_TERMINATION_TIMEOUT": None,
    # A tunnel would open the engine past the proxy, and the launcher logs its arguments, keys and all.
    "NGROK": None,
    "NGROK_AUTHTOKEN": None,
    "NGROK_EDGE": None,
    "API_KEY": None,
}


def environment(request: EngineRequest) -> dict[str, str]:
    """Return the variables of one replica's container; the profile's own are added last.

    HOSTNAME stays Docker's, the container's id: the router finds no address in it and listens on all of them
    (router/src/server.rs, "Invalid hostname, defaulting to 0.0.0.0").
    """
    engine = request.profile.engine
    optional: dict[str, object] = {
        "QUANTIZE": engine.quantization,
        "DTYPE": dtype_for_launcher(engine, request.facts),
        "KV_CACHE_DTYPE": engine.kv_cache_dtype,
        "MAX_TOTAL_TOKENS": engine.context_length,
        "MAX_INPUT_TOKENS": engine.max_input_tokens,
        "MAX_BATCH_PREFILL_TOKENS": engine.max_batch_prefill_tokens,
        "CUDA_MEMORY_FRACTION": engine.memory_fraction,
    }
    return {
        "MODEL_ID": request.weights_path,
        # Without it, versions before 3.3.7 count one GPU where a container runtime in CDI mode says "all"
        # (https://github.com/huggingface/text-generation-inference/pull/3346).
        "NUM_SHARD": str(request.shards),
        "PORT": str(PORT),
        "MAX_CONCURRENT_REQUESTS": str(engine.max_concurrent_requests),
        "MAX_STOP_SEQUENCES": str(_MAX_STOP_SEQUENCES),
        "PAYLOAD_LIMIT": str(request.payload_limit_bytes),
        "GRACEFUL_TERMINATION_TIMEOUT": str(GRACE_S),
        "USAGE_STATS": "off",
        # The weights are a directory; what is missing there is to fail at once, not to wait for a network.
        "HF_HUB_OFFLINE": "1",
        **{name: str(value) for name, value in optional.items() if value is not None},
        **engine.environment,
    }


def environment_problems(variables: dict[str, str]) -> list[str]:
    """Name the profile's own variables that would contradict the plan, or that no container could be given."""
    problems = []
    for name, value in variables.items():
        if name.upper() in OWNED_VARIABLES:
            key = OWNED_VARIABLES[name.upper()]
            expected = f"{key} to say it" if key is not None else "it left out: scout-deploy decides it"
            problems.append(f"engine/environment/{name}: got a value, expected {expected}")
        elif any(character in value for character in "\r\n\0"):
            problems.append(f"engine/environment/{name}: got a text of several lines, expected one line")
    return problems
