"""What is planned around the containers: upstreams, labels, the fingerprint, limits, what is refused."""

import pytest

from fakes.container_plans import CPU, TEMPLATE, plan, profile
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import Names, Weights
from scout_deploy.containers.spec import LogRotation, Mount
from scout_deploy.errors import ProfileError
from scout_deploy.profile.settings import flatten_settings
from scout_proxy.route_table import PromptFormat, Upstream


def test_upstreams_are_the_engines_by_their_names_on_the_network() -> None:
    assert plan().upstreams() == (
        Upstream(id="scout-blue-engine-3-0", url="http://scout-blue-engine-3-0:7000"),
        Upstream(id="scout-blue-engine-3-1", url="http://scout-blue-engine-3-1:7000"),
    )


def test_the_default_deployment_is_not_named_twice() -> None:
    default, other = Names(deployment="scout"), Names(deployment="green")

    assert (default.network, default.proxy, default.engine(1, 0)) == ("scout", "scout-proxy", "scout-engine-1-0")
    assert (other.network, other.routes_volume) == ("scout-green", "scout-green-routes")


def test_a_fingerprint_says_what_runs_and_not_what_it_is_called() -> None:
    first, second = plan().engines
    renamed = first.model_copy(update={"name": "other", "labels": {"scout.generation": "4"}})

    assert renamed.fingerprint() == first.fingerprint() == first.labels["scout.config"]
    assert second.fingerprint() != first.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"image": "registry.example/plain@sha256:2"},
        {"environment": {"MODEL": "other"}},
        {"command": ("serve", "--fast")},
        {"shm_size_bytes": 1},
        {"read_only": False},
        {"mounts": ()},
        {"gpus": None},
        {"logs": LogRotation(files=9)},
        {"restart": "unless-stopped"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fingerprint_changes_with_what_runs(change: dict[str, object]) -> None:
    engine = plan().engines[0]

    assert engine.model_copy(update=change).fingerprint() != engine.fingerprint()


def test_the_labels_alone_tell_the_profile_again() -> None:
    chosen = profile(api={"name": "Ünïcode API"})
    deployment = plan(chosen)

    for spec in (deployment.proxy, *deployment.engines):
        assert labels.read_settings(spec.labels) == flatten_settings(chosen, "9.9.9")
        assert labels.read_overrides(spec.labels) == ("replicas=2",)
    assert [labels.read_gpus(spec.labels) for spec in deployment.engines] == [(0, 1), (4, 5)]


@pytest.mark.parametrize(
    ("host", "published"),
    [("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("10.0.0.7", "10.0.0.7")],
)
def test_the_api_is_published_on_an_address(host: str, published: str) -> None:
    # Docker would publish the name "localhost" on every address of the machine.
    assert plan(profile(proxy={"host": host})).proxy.ports[0].host == published


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"proxy": {"host": "gpu-box.lan"}}, "proxy/host: got 'gpu-box.lan', expected an IP address"),
        (
            {"model": {}, "engine": {"kind": "embedded"}, "hardware": {}, "replicas": 1},
            "model: got neither id nor path",
        ),
    ],
)
def test_what_would_not_be_honoured_is_refused(overrides: dict[str, object], expected: str) -> None:
    with pytest.raises(ProfileError, match=expected) as caught:
        plan(profile(**overrides), where=CPU)

    assert caught.value.message.startswith("profile 'my-profile' asks for what this deployment would not do:\n")


def test_a_directory_is_served_under_its_own_name_whatever_the_api_says() -> None:
    chosen = profile(model={"path": "/models/my-chat"}, api={"model": "acme/public"})
    own = Weights(
        mount=Mount(kind="bind", source="/models/my-chat", target="/weights/my-chat"), path="/weights/my-chat"
    )

    deployment = plan(chosen, weights=own)

    assert deployment.routes.serving.model_id == "my-chat"
    assert deployment.routes.serving.revision is None
    assert deployment.routes.identity.model == "acme/public"
    assert deployment.engines[0].labels["scout.model"] == "/models/my-chat"


def test_the_profiles_limits_reach_the_proxy() -> None:
    chosen = profile(
        proxy={
            "prompt_format": "raw",
            "limits": {"max_body_bytes": 1000, "drain_s": 7.5, "deadline_s": 9.0},
            "queue": {"max_waiting": 3},
            "port": 2030,
        }
    )
    deployment = plan(chosen)

    limits = deployment.routes.limits
    assert (limits.max_body_bytes, limits.drain_s, limits.deadline_s, limits.max_waiting) == (1000, 7.5, 9.0, 3)
    assert deployment.routes.template == TEMPLATE.model_copy(update={"prompt_format": PromptFormat.RAW})
    # Escaped as JSON, a text can be six times as long.
    assert deployment.engines[0].environment["PAYLOAD"] == str(6 * 1000 + 65_536)
    assert deployment.proxy.stop_timeout_s == 17
    assert deployment.proxy.ports[0].port == 2030
    assert deployment.proxy.labels["scout.port"] == "2030"


def test_logs_and_spans_change_the_proxys_command_and_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=a-secret")
    usual = plan()
    proxy = {"log": {"level": "debug", "access": "sampled"}, "tracing": {"endpoint": "http://collector:4318"}}

    chosen = plan(profile(proxy=proxy))

    assert chosen.proxy.command == (
        *usual.proxy.command,
        *("--log-level", "debug", "--access-log", "sampled", "--otlp-endpoint", "http://collector:4318"),
    )
    assert (chosen.proxy.environment, chosen.proxy.health) == ({}, usual.proxy.health)
    assert chosen.proxy.fingerprint() != usual.proxy.fingerprint()
    assert [one.fingerprint() for one in chosen.engines] == [one.fingerprint() for one in usual.engines]
    assert "a-secret" not in chosen.model_dump_json()
