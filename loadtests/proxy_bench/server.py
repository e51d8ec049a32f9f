"""The servers that are compared: how each is started, and what it is asked."""

import hashlib
import hmac
import json
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy_bench.child import Child, running, wait_until_answers
from proxy_bench.nginx_conf import nginx_conf
from proxy_bench.target import PROMPT, TOKENS, Target

_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|header_start|>{{ message['role'] }}<|header_end|>\n\n"
    "{{ message['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|header_start|>assistant<|header_end|>\n\n{% endif %}"
)
_SPECIAL_TOKENS = ("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and what is asked of it."""

    target: Target
    child: Child


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where servers are started.

    Args:
        core: The one that they may use.
        folder: For their configuration and logs.
        engine_url: Of the engine behind them.
    """

    core: int
    folder: Path
    engine_url: str


@contextmanager
def scout(place: Place, *, cache_entries: int = 10_000) -> Iterator[Server]:
    """Run the proxy as it is shipped, with everything on that a profile can switch on.

    Args:
        cache_entries: The most that its cache holds; the default is its own.
    """
    port, key = free_port(), secrets.token_hex(16)
    routes = place.folder / "routes.json"
    routes.write_text(json.dumps(route_table(place.engine_url, key, cache_entries)), encoding="utf-8")
    with running("scout", scout_command(routes, port), core=place.core, folder=place.folder) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(child, f"{url}/health")
        yield Server(
            target=Target(name="scout_proxy", url=url, headers={"Authorization": f"Bearer {key}"}), child=child
        )


def scout_command(routes: Path, port: int) -> list[str]:
    """Return the command that starts the proxy."""
    return [sys.executable, "-m", "scout_proxy", "--routes", str(routes), "--port", str(port)]


def route_table(engine_url: str, key: str, cache_entries: int) -> dict[str, object]:
    """Return a route table with the cache, a key and a chat template."""
    salt = secrets.token_bytes(16)
    digest = hmac.new(salt, key.encode(), hashlib.sha256).hexdigest()
    return {
        "revision": 1,
        "deployment": "bench",
        "profile": "bench",
        "identity": {"name": "bench", "model": "fake/model"},
        "serving": {"model_id": "fake/model", "engine": "tgi", "engine_version": "3.3.6", "context_length": 131_072},
        "template": {
            "chat_template": _TEMPLATE,
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot|>",
            "special_tokens": _SPECIAL_TOKENS,
        },
        "cache": {"policy": "all", "max_entries": cache_entries},
        "keys": {"salt": salt.hex(), "keys": [{"id": "bench", "digest": digest}]},
        "upstreams": [{"id": "engine-0", "url": engine_url, "state": "running"}],
    }


@contextmanager
def nginx(place: Place, *, is_caching: bool) -> Iterator[Server]:
    """Run one nginx worker, with proxy_cache or with proxy_pass alone."""
    name, port = ("nginx proxy_cache" if is_caching else "nginx proxy_pass"), free_port()
    folder = place.folder / name.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        nginx_conf(folder, port, place.engine_url.removeprefix("http://"), is_caching=is_caching), encoding="utf-8"
    )
    command = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
    with running(name, command, core=place.core, folder=place.folder) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(child, f"{url}/ready")
        yield Server(target=Target(name=name, url=url), child=child)


@contextmanager
def plain_app(place: Place) -> Iterator[Server]:
    """Run FastAPI with `text_generation.AsyncClient` as a user of both would write it."""
    port = free_port()
    command = [sys.executable, "-m", "proxy_bench.plain_app", "--port", str(port), "--engine", place.engine_url]
    with running("plain_app", command, core=place.core, folder=place.folder) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(child, f"{url}/openapi.json")
        yield Server(target=Target(name="FastAPI + AsyncClient", url=url), child=child)


@contextmanager
def litellm(place: Place, program: Path) -> Iterator[Server]:
    """Run the LiteLLM proxy with one worker."""
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    configuration = place.folder / "litellm.yaml"
    # JSON is YAML.
    configuration.write_text(json.dumps(_litellm_configuration(place.engine_url, key)), encoding="utf-8")
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    with running(
        "litellm", [*command, "--num_workers", "1"], core=place.core, folder=place.folder, environment=environment
    ) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(child, f"{url}/health/liveliness", timeout_s=120)
        body = {"model": "bench", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": TOKENS}
        target = Target(
            name="LiteLLM",
            url=url,
            path="/v1/chat/completions",
            body=json.dumps(body),
            headers={"Authorization": f"Bearer {key}"},
        )
        yield Server(target=target, child=child)


def _litellm_configuration(engine_url: str, key: str) -> dict[str, object]:
    parameters = {"model": "openai/fake", "api_base": f"{engine_url}/v1", "api_key": "none"}
    return {
        "model_list": [{"model_name": "bench", "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False, "set_verbose": False},
        # It does not start without one.
        "general_settings": {"master_key": key},
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
