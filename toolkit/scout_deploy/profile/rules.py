"""The rules between the keys of a profile. What a model or a machine allows is the plan's business, not theirs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from scout_deploy.loopback import is_loopback
from scout_deploy.profile.engine import Engine, Hardware, Model
from scout_deploy.profile.proxy import Proxy

# Names of variables that hold secrets by custom; `MAX_BATCH_PREFILL_TOKENS` and the like are no such names.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|(?:API|ACCESS|SECRET|PRIVATE)_?KEY)$", re.IGNORECASE
)

# `scheme://user:password@host`, as in a web proxy's address.
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")

_ONLY_EMBEDDED = ("slots", "threads")
_NEVER_EMBEDDED = (
    "version",
    "image",
    "quantization",
    "dtype",
    "max_batch_prefill_tokens",
    "memory_fraction",
    "shm_size_gb",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenRule:
    """One contradiction.

    Args:
        key: Path of the key to change, such as `("hardware", "gpu_ids")`.
        got: What the profile says, in words. Never a secret.
        expected: What would be right, in words.
    """

    key: tuple[str, ...]
    got: str
    expected: str


class BrokenRulesError(ValueError):
    """A profile's keys contradict each other."""

    def __init__(self, rules: tuple[BrokenRule, ...]) -> None:
        super().__init__("; ".join(f"{'/'.join(rule.key)}: got {rule.got}, expected {rule.expected}" for rule in rules))
        self.rules = rules


def broken_rules(
    *, model: Model, engine: Engine, hardware: Hardware, proxy: Proxy, replicas: int
) -> tuple[BrokenRule, ...]:
    """Return every contradiction between these sections, none if they agree."""
    return (
        *_model_rules(model, engine),
        *_engine_rules(engine),
        *_token_rules(engine),
        *_hardware_rules(engine, hardware),
        *_gpu_id_rules(hardware, replicas),
        *_proxy_rules(proxy),
        *_tracing_rules(engine, proxy),
    )


def _model_rules(model: Model, engine: Engine) -> Iterator[BrokenRule]:
    if model.revision is not None and model.id is None:
        yield BrokenRule(
            key=("model", "revision"), got=f"{model.revision!r} without model/id", expected="a model/id to take it of"
        )
    if engine.kind == "tgi" and model.id is None and model.path is None:
        yield BrokenRule(
            key=("model",),
            got="neither id nor path",
            expected="model/id (on the hub) or model/path (a directory) for TGI",
        )
    if engine.kind == "embedded" and model.id is not None and model.path is None:
        yield BrokenRule(
            key=("model", "id"),
            got=f"{model.id!r} without model/path",
            expected="model/path too: the embedded engine serves a GGUF file on this machine",
        )


def _engine_rules(engine: Engine) -> Iterator[BrokenRule]:
    if engine.kind == "tgi" and engine.version is None:
        yield BrokenRule(key=("engine", "version"), got="nothing", expected="the version of TGI, such as 3.3.7")
    foreign = _NEVER_EMBEDDED if engine.kind == "embedded" else _ONLY_EMBEDDED
    for name in foreign:
        if (value := getattr(engine, name)) is not None:
            yield BrokenRule(
                key=("engine", name),
                got=repr(value),
                expected=f"no such key: engine kind {engine.kind} would ignore it",
            )
    for name, value in engine.environment.items():
        if _PASSWORD_IN_URL.search(value):
            yield BrokenRule(
                key=("engine", "environment", name),
                got="an address with a password in it",
                expected="no secret in the engine's environment, which whoever may inspect the container reads",
            )
        if _SECRET_NAME.search(name):
            yield BrokenRule(
                key=("engine", "environment", name),
                got="a variable that holds a secret by its name",
                expected="no secret in the engine's environment: scout-deploy fetches the weights itself, with the "
                "HF_TOKEN of your own environment, and API keys go to proxy/keys",
            )


def _token_rules(engine: Engine) -> Iterator[BrokenRule]:
    context, prompt = engine.context_length, engine.max_input_tokens
    if context is not None and prompt is not None and prompt >= context:
        yield BrokenRule(
            key=("engine", "max_input_tokens"),
            got=str(prompt),
            expected=f"less than engine/context_length ({context}), which is for prompt and answer together",
        )


def _hardware_rules(engine: Engine, hardware: Hardware) -> Iterator[BrokenRule]:
    without_gpus = "hardware/cpu_only is true" if hardware.cpu_only else "the embedded engine computes on the CPU"
    if hardware.cpu_only or engine.kind == "embedded":
        for name in ("gpu_count", "gpu_kind", "gpu_memory_gb", "gpu_ids", "device_map"):
            if (value := getattr(hardware, name)) is not None:
                shown = list(value) if isinstance(value, tuple) else value
                yield BrokenRule(key=("hardware", name), got=repr(shown), expected=f"no GPU: {without_gpus}")
    elif hardware.gpu_count is None and hardware.gpu_ids is None and hardware.device_map is None:
        yield BrokenRule(
            key=("hardware",),
            got="no GPUs for TGI",
            expected="gpu_count, gpu_ids, device_map: auto, or cpu_only: true",
        )


def _gpu_id_rules(hardware: Hardware, replicas: int) -> Iterator[BrokenRule]:
    ids, count = hardware.gpu_ids, hardware.gpu_count
    if ids is None:
        return
    key = ("hardware", "gpu_ids")
    if len(set(ids)) != len(ids):
        yield BrokenRule(key=key, got=str(list(ids)), expected="each GPU once")
    if hardware.device_map is not None:
        yield BrokenRule(key=("hardware", "device_map"), got="'auto' beside gpu_ids", expected="one of the two")
    if count is not None and len(ids) != count * replicas:
        yield BrokenRule(
            key=key,
            got=f"{len(ids)} ids",
            expected=f"{count * replicas}: hardware/gpu_count ({count}) for each of the replicas ({replicas})",
        )
    elif len(ids) % replicas:
        yield BrokenRule(key=key, got=f"{len(ids)} ids", expected=f"as many for each of the replicas ({replicas})")


def _proxy_rules(proxy: Proxy) -> Iterator[BrokenRule]:
    yield from _key_rules(proxy)
    yield from _cache_rules(proxy)
    yield from _log_rules(proxy)
    if not _is_host(proxy.host):
        yield BrokenRule(
            key=("proxy", "host"), got=repr(proxy.host), expected="an IP address or a host name, without port"
        )


def _key_rules(proxy: Proxy) -> Iterator[BrokenRule]:
    keys = proxy.keys
    if keys.file is not None and keys.variable is not None:
        yield BrokenRule(
            key=("proxy", "keys", "variable"), got=f"{keys.variable!r} beside file", expected="one of the two"
        )
    if keys.are_set:
        return
    for name in ("requests_per_minute", "max_concurrent", "open_metrics", "open_status"):
        if value := getattr(keys, name):
            yield BrokenRule(
                key=("proxy", "keys", name), got=f"{value!r} without keys", expected="proxy/keys/file or variable too"
            )


def _cache_rules(proxy: Proxy) -> Iterator[BrokenRule]:
    cache = proxy.cache
    if cache.scope == "key" and not proxy.keys.are_set:
        yield BrokenRule(
            key=("proxy", "cache", "scope"), got="'key' without keys", expected="proxy/keys to be set, or scope: shared"
        )
    if cache.store == "redis" and cache.redis_url_variable is None:
        yield BrokenRule(
            key=("proxy", "cache", "store"), got="'redis' without a URL", expected="redis_url_variable to be set too"
        )
    if cache.store == "memory" and cache.redis_url_variable is not None:
        yield BrokenRule(
            key=("proxy", "cache", "redis_url_variable"),
            got=repr(cache.redis_url_variable),
            expected="no Redis with store: memory; set store: redis",
        )


def _log_rules(proxy: Proxy) -> Iterator[BrokenRule]:
    log = proxy.log
    if log.prompts and log.access == "off":
        yield BrokenRule(
            key=("proxy", "log", "prompts"),
            got="true with access: off",
            expected="access: sampled or all, whose lines hold them",
        )
    if log.access != "off" and log.level not in {"debug", "info"}:
        yield BrokenRule(
            key=("proxy", "log", "access"),
            got=f"{log.access!r} with level: {log.level}",
            expected="level: info or debug, since a request's line has the level info",
        )


def _tracing_rules(engine: Engine, proxy: Proxy) -> Iterator[BrokenRule]:
    endpoint, key = proxy.tracing.endpoint, ("proxy", "tracing", "endpoint")
    if endpoint is None:
        return
    host = _host_of(endpoint)
    if host is None:
        yield BrokenRule(key=key, got="no URL", expected="a URL such as http://collector.example:4318")
    elif "@" in endpoint or "?" in endpoint or "#" in endpoint:
        # What is in a command line, whoever may inspect the container reads; spans go to a path below the URL.
        yield BrokenRule(
            key=key,
            got="a URL with a user, a query or a fragment",
            expected="a URL of scheme, host, port and path alone; a secret goes into OTEL_EXPORTER_OTLP_HEADERS",
        )
    elif engine.kind != "embedded" and is_loopback(host):
        yield BrokenRule(
            key=key,
            got=f"{host}, which inside the proxy's container is the container itself",
            expected="an address of the receiver that containers reach",
        )


def _host_of(url: str) -> str | None:
    try:
        split = urlsplit(url)
        is_usable = split.port != 0
    except ValueError:
        return None
    return split.hostname if is_usable else None


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is not None
    return True
