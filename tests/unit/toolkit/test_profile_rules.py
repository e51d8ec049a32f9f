"""What the keys of a profile may not say together."""

import pytest
from pydantic import ValidationError

from scout_deploy.profile.profile import Profile
from scout_deploy.profile.rules import BrokenRulesError

_EMBEDDED = {"kind": "embedded"}
_TGI = {"kind": "tgi", "version": "3.3.7"}
_MODEL = {"id": "some/model"}
_ONE_GPU = {"gpu_count": 1}


def _broken(**sections: object) -> list[str]:
    try:
        Profile.model_validate(sections)
    except ValidationError as error:
        causes = [detail["ctx"]["error"] for detail in error.errors()]
        return ["/".join(rule.key) for cause in causes if isinstance(cause, BrokenRulesError) for rule in cause.rules]
    return []


@pytest.mark.parametrize(
    "sections",
    [
        {"engine": _EMBEDDED},
        {"engine": _EMBEDDED, "model": {"id": "some/model", "path": "/m.gguf", "revision": "main"}},
        {"engine": _TGI, "model": _MODEL, "hardware": _ONE_GPU},
        {"engine": _TGI, "model": {"path": "/weights"}, "hardware": {"gpu_ids": (0, 1)}},
        {"engine": _TGI, "model": _MODEL, "hardware": {"device_map": "auto"}},
        {"engine": _TGI, "model": _MODEL, "hardware": {"cpu_only": True}},
        {"engine": _TGI, "model": _MODEL, "hardware": {"gpu_count": 2, "gpu_ids": (0, 1, 2, 3)}, "replicas": 2},
        {"engine": {**_TGI, "context_length": 100, "max_input_tokens": 99}, "model": _MODEL, "hardware": _ONE_GPU},
        {"engine": {**_TGI, "environment": {"TOKENIZERS_PARALLELISM": "0"}}, "model": _MODEL, "hardware": _ONE_GPU},
        {"engine": _EMBEDDED, "proxy": {"keys": {"variable": "KEYS"}, "cache": {"scope": "key"}}},
        {"engine": _EMBEDDED, "proxy": {"host": "::1"}},
        {"engine": _EMBEDDED, "proxy": {"log": {"access": "sampled", "prompts": True, "level": "debug"}}},
        {"engine": _EMBEDDED, "proxy": {"log": {"level": "error"}}},
        {"engine": _EMBEDDED, "proxy": {"tracing": {"endpoint": "http://localhost:4318"}}},
        {"engine": _EMBEDDED, "proxy": {"tracing": {"endpoint": "https://[2001:db8::1]/otlp/"}}},
    ],
)
def test_profiles_that_make_sense(sections: dict[str, object]) -> None:
    assert _broken(**sections) == []


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({"engine": _EMBEDDED, "model": {"revision": "main"}}, ["model/revision"]),
        ({"engine": _EMBEDDED, "model": _MODEL}, ["model/id"]),
        ({"engine": _EMBEDDED, "hardware": {"gpu_count": 1}}, ["hardware/gpu_count"]),
        ({"engine": {**_EMBEDDED, "dtype": "float16", "image": "a/b"}}, ["engine/image", "engine/dtype"]),
        ({"engine": _TGI, "hardware": _ONE_GPU}, ["model"]),
        ({"engine": {"kind": "tgi"}, "model": _MODEL, "hardware": _ONE_GPU}, ["engine/version"]),
        (
            {"engine": {**_TGI, "slots": 2, "threads": 2}, "model": _MODEL, "hardware": _ONE_GPU},
            ["engine/slots", "engine/threads"],
        ),
        ({"engine": _TGI, "model": _MODEL}, ["hardware"]),
        (
            {"engine": _TGI, "model": _MODEL, "hardware": {"cpu_only": True, "gpu_count": 1, "device_map": "auto"}},
            ["hardware/gpu_count", "hardware/device_map"],
        ),
        ({"engine": _TGI, "model": _MODEL, "hardware": {"gpu_ids": (0, 0)}}, ["hardware/gpu_ids"]),
        ({"engine": _TGI, "model": _MODEL, "hardware": {"gpu_ids": (0, 1, 2), "gpu_count": 2}}, ["hardware/gpu_ids"]),
        ({"engine": _TGI, "model": _MODEL, "hardware": {"gpu_ids": (0, 1, 2)}, "replicas": 2}, ["hardware/gpu_ids"]),
        (
            {"engine": _TGI, "model": _MODEL, "hardware": {"gpu_ids": (0,), "device_map": "auto"}},
            ["hardware/device_map"],
        ),
        ({"engine": {**_EMBEDDED, "context_length": 100, "max_input_tokens": 100}}, ["engine/max_input_tokens"]),
        ({"engine": {**_EMBEDDED, "environment": {"HF_TOKEN": "x"}}}, ["engine/environment/HF_TOKEN"]),
        ({"engine": {**_EMBEDDED, "environment": {"api_key": "x"}}}, ["engine/environment/api_key"]),
        ({"engine": _EMBEDDED, "proxy": {"keys": {"file": "/f", "variable": "V"}}}, ["proxy/keys/variable"]),
        ({"engine": _EMBEDDED, "proxy": {"cache": {"scope": "key"}}}, ["proxy/cache/scope"]),
        ({"engine": _EMBEDDED, "proxy": {"cache": {"store": "redis"}}}, ["proxy/cache/store"]),
        ({"engine": _EMBEDDED, "proxy": {"cache": {"redis_url_variable": "R"}}}, ["proxy/cache/redis_url_variable"]),
        ({"engine": _EMBEDDED, "proxy": {"host": "localhost:80"}}, ["proxy/host"]),
        ({"engine": _EMBEDDED, "proxy": {"log": {"prompts": True}}}, ["proxy/log/prompts"]),
        ({"engine": _EMBEDDED, "proxy": {"log": {"access": "all", "level": "warning"}}}, ["proxy/log/access"]),
    ],
)
def test_profiles_that_contradict_themselves(sections: dict[str, object], keys: list[str]) -> None:
    assert _broken(**sections) == keys


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://:4318",
        "http://collector:0",
        "http://collector:99999",
        "http://[::1",
        "http://me:sesame@collector:4318",
        "http://sesame@collector:4318",
        "http://collector:4318?key=sesame",
        "http://collector:4318#sesame",
    ],
)
def test_a_receiver_of_spans_is_named_by_a_url_without_secrets(endpoint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Profile.model_validate({"engine": _EMBEDDED, "proxy": {"tracing": {"endpoint": endpoint}}})

    (detail,) = refused.value.errors()
    assert "proxy/tracing/endpoint" in detail["msg"]
    assert "sesame" not in detail["msg"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_proxy_in_a_container_reaches_no_receiver_on_loopback(host: str) -> None:
    sections = {"model": _MODEL, "hardware": _ONE_GPU, "proxy": {"tracing": {"endpoint": f"http://{host}:4318"}}}

    assert _broken(engine=_TGI, **sections) == ["proxy/tracing/endpoint"]


@pytest.mark.parametrize(
    ("name", "value"), [("HF_TOKEN", "hunter2"), ("HTTPS_PROXY", "http://me:hunter2@web-proxy.example:3128")]
)
def test_a_secret_in_the_environment_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate({"engine": {**_EMBEDDED, "environment": {name: value}}})

    cause = caught.value.errors()[0]["ctx"]["error"]
    assert "hunter2" not in str(cause)


@pytest.mark.parametrize(
    ("sections", "name", "model"),
    [
        ({}, "scout-demo API", "scout-demo"),
        ({"model": {"path": "/models/tiny.gguf"}}, "tiny API", "tiny"),
        ({"model": {"id": "a/b", "path": "/x.gguf"}}, "a/b API", "a/b"),
        ({"api": {"name": "N", "model": "M"}}, "N", "M"),
    ],
)
def test_the_public_identity_is_filled_in(sections: dict[str, object], name: str, model: str) -> None:
    identity = Profile.model_validate({"engine": _EMBEDDED, **sections}).identity()

    assert (identity.name, identity.model) == (name, model)


def test_a_profile_is_frozen() -> None:
    profile = Profile.model_validate({"engine": _EMBEDDED})

    with pytest.raises(ValidationError, match="frozen"):
        profile.replicas = 2  # type: ignore[misc]  # the assignment that a frozen model refuses is the test
