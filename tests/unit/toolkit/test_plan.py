from dataclasses import replace
from pathlib import Path

import pytest

from scout_deploy.deployment import differences
from scout_deploy.errors import DeployError, GpuUnavailableError, ProfileError
from scout_deploy.gguf.facts import GgufFacts, read_gguf
from scout_deploy.model_file import demonstration_model
from scout_deploy.plan import Target, ignored_settings, plan_embedded, refuse_foreign_hardware
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.profile import Profile

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
        ({"proxy__keys__variable": "SCOUT_KEYS"}, "proxy/keys"),
        ({"replicas": "2"}, "replicas: got 2"),
        ({"engine__context_length": "16000000"}, "engine/context_length: got 16000000"),
    ],
)
def test_what_would_not_be_honoured_is_refused(facts: GgufFacts, overrides: dict[str, str], expected: str) -> None:
    with pytest.raises(ProfileError, match=expected):
        plan_embedded(profile(**overrides), TARGET, Path("/m.gguf"), facts)


def test_a_setting_without_effect_yet_is_remarked_upon() -> None:
    assert ignored_settings(profile()) == ()
    (remark,) = ignored_settings(profile(proxy__cache__ttl_s="60.0"))
    assert remark.startswith("proxy/cache has no effect in this version")


def test_a_profile_for_gpus_says_what_it_wants_where_there_are_none() -> None:
    wanted = load_profile("a100-4bit", environment={"HOME": "/nowhere"}).profile

    with pytest.raises(GpuUnavailableError, match="profile 'a100-4bit' is for 1 A100 with 80 GB") as caught:
        refuse_foreign_hardware(wanted, "a100-4bit", ())

    assert "--profile embedded" in str(caught.value.next_step)


def test_a_profile_for_containers_is_refused_on_a_machine_with_gpus_too() -> None:
    wanted = load_profile("a100-4bit", environment={"HOME": "/nowhere"}).profile

    with pytest.raises(DeployError, match="starts only the embedded engine"):
        refuse_foreign_hardware(wanted, "a100-4bit", ("NVIDIA A100",))


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
