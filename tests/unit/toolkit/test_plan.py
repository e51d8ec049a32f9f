from dataclasses import replace
from pathlib import Path

import pytest

from fakes.api_keys import api_keys
from scout_deploy.deployment import differences
from scout_deploy.errors import ProfileError
from scout_deploy.gguf.facts import GgufFacts, read_gguf
from scout_deploy.model_file import demonstration_model
from scout_deploy.plan import Target, plan_embedded
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.profile import Profile
from scout_deploy.proxy_secrets import ProxySecrets
from scout_deploy.proxy_settings import started_settings
from scout_proxy.route_table import Cache, CachePolicy, CacheScope

TARGET = Target(
    name="scout", profile_name="embedded", python="/venv/bin/python", routes=Path("/state/routes.json"), version="9.9.9"
)


def profile(**overrides: str) -> Profile:
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_profile("embedded", environment={"HOME": "/nowhere"}, overrides=dotted).profile


@pytest.fixture(scope="module")
def facts() -> GgufFacts:
    return read_gguf(demonstration_model())


def test_the_whole_deployment_of_the_default_profile(facts: GgufFacts) -> None:
    spec = plan_embedded(profile(), TARGET, Path("/models/demo.gguf"), facts)

    module = ("/venv/bin/python", "-P", "-m")
    assert spec.proxy.argv == (
        *module,
        *("scout_proxy", "--routes", "/state/routes.json", "--host", "127.0.0.1", "--port", "{port}"),
    )
    assert spec.engine.argv == (
        *(*module, "scout_engine", "--model", "/models/demo.gguf", "--model-id", "scout-demo"),
        *("--host", "127.0.0.1", "--port", "{port}", "--slots", "8", "--context", "4096"),
        *("--max-concurrent-requests", "128", "--payload-limit", "12065536"),
    )
    assert spec.url == "http://127.0.0.1:2025"
    assert spec.routes.identity.model == "meta-llama/Llama-4-Scout-17B-16E-Instruct"
    assert spec.routes.serving.model_id == "scout-demo"
    assert spec.routes.serving.quantization == "Q8_0"
    assert spec.routes.template.chat_template is not None
    assert "<|eot|>" in spec.routes.template.special_tokens


def test_settings_of_the_profile_reach_the_engine(facts: GgufFacts) -> None:
    chosen = profile(
        engine__slots="2",
        engine__context_length="1024",
        engine__threads="3",
        engine__kv_cache_dtype="q8_0",
        engine__environment="{OMP_NUM_THREADS: '3'}",
        proxy__limits__drain_s="7.0",
    )

    spec = plan_embedded(chosen, TARGET, Path("/m.gguf"), facts)

    options = dict(zip(spec.engine.argv[4::2], spec.engine.argv[5::2], strict=False))
    assert (options["--slots"], options["--context"], options["--threads"]) == ("2", "1024", "3")
    assert options["--kv-cache-dtype"] == "q8_0"
    assert spec.engine.environment == {"OMP_NUM_THREADS": "3"}
    assert spec.routes.limits.drain_s == 7.0


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"replicas": "2"}, "replicas: got 2"),
        ({"engine__context_length": "16000000"}, "engine/context_length: got 16000000"),
    ],
)
def test_what_would_not_be_honoured_is_refused(facts: GgufFacts, overrides: dict[str, str], expected: str) -> None:
    with pytest.raises(ProfileError, match=expected):
        plan_embedded(profile(**overrides), TARGET, Path("/m.gguf"), facts)


def test_an_api_is_never_open_because_its_keys_were_not_read(facts: GgufFacts) -> None:
    with pytest.raises(ValueError, match="secrets were not read"):
        plan_embedded(profile(proxy__keys__variable="SCOUT_KEYS"), TARGET, Path("/m.gguf"), facts)


def test_cache_queue_keys_and_web_pages_reach_the_proxy(facts: GgufFacts) -> None:
    chosen = profile(
        proxy__cache="{policy: deterministic, ttl_s: 60.0, samples: 3, scope: key}",
        proxy__queue__max_waiting="7",
        proxy__keys__variable="SCOUT_KEYS",
        proxy__cors__origins="[https://chat.example]",
    )
    secrets = ProxySecrets(keys=api_keys())

    table = plan_embedded(chosen, replace(TARGET, secrets=secrets), Path("/m.gguf"), facts).routes

    assert table.cache == Cache(policy=CachePolicy.DETERMINISTIC, ttl_s=60, samples=3, scope=CacheScope.KEY)
    assert table.limits.max_waiting == 7
    assert table.keys == secrets.keys
    assert table.cors.origins == ("https://chat.example",)


def test_logs_and_spans_reach_the_proxy_alone_on_its_command_line(facts: GgufFacts) -> None:
    usual = plan_embedded(profile(), TARGET, Path("/m.gguf"), facts)
    chosen = profile(proxy__log="{format: json, access: all}", proxy__tracing__endpoint="http://127.0.0.1:4318")

    spec = plan_embedded(chosen, TARGET, Path("/m.gguf"), facts)

    assert spec.proxy.argv == (
        *usual.proxy.argv,
        *("--log-format", "json", "--access-log", "all", "--otlp-endpoint", "http://127.0.0.1:4318"),
    )
    assert (spec.engine, spec.routes) == (usual.engine, usual.routes)
    assert differences(started_settings(usual.settings), started_settings(spec.settings)) == (
        "proxy/log/access: off -> all",
        "proxy/log/format: text -> json",
        "proxy/tracing/endpoint: (not set) -> http://127.0.0.1:4318",
    )


def test_a_model_without_a_template_or_name_is_served_as_its_file(facts: GgufFacts) -> None:
    bare = replace(facts, name=None, chat_template=None)

    spec = plan_embedded(profile(), TARGET, Path("/models/story.gguf"), bare)

    assert spec.routes.serving.model_id == "story"
    assert spec.routes.template.chat_template is None


def test_an_upgrade_and_a_changed_key_are_differences(facts: GgufFacts) -> None:
    old = plan_embedded(profile(), TARGET, Path("/m.gguf"), facts)
    new = plan_embedded(profile(proxy__port="2026"), replace(TARGET, version="10.0.0"), Path("/m.gguf"), facts)

    assert differences(old.settings, new.settings) == (
        "proxy/port: 2025 -> 2026",
        "scout-deploy/version: 9.9.9 -> 10.0.0",
    )
    assert differences(old.settings, old.settings) == ()


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:2025"), ("::", "http://[::1]:2025"), ("localhost", "http://localhost:2025")],
)
def test_the_url_is_one_that_this_machine_can_reach(facts: GgufFacts, host: str, url: str) -> None:
    spec = plan_embedded(profile(proxy__host=f"'{host}'"), TARGET, Path("/m.gguf"), facts)

    assert spec.url == url
