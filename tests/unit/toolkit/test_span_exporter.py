"""`up` where the profile asks for spans."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.no_docker import without_docker
from scout_deploy.cli.app import create_app
from scout_deploy.errors import ExtraMissingError
from scout_deploy.profile.profile import Profile
from scout_deploy.span_exporter import require_span_exporter

ENDPOINT = "http://127.0.0.1:4318"


def profile(endpoint: str | None) -> Profile:
    return Profile.model_validate({"engine": {"kind": "embedded"}, "proxy": {"tracing": {"endpoint": endpoint}}})


@pytest.fixture(params=["opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter"])
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter is not installed, or nothing of its kind."""
    for name in [one for one in sys.modules if one.startswith(request.param)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, request.param, None)


def test_what_makes_spans_is_installed_here() -> None:
    require_span_exporter(profile(ENDPOINT))


@pytest.mark.usefixtures("missing")
def test_the_extra_is_needed_where_spans_are_wanted_alone() -> None:
    require_span_exporter(profile(None))

    with pytest.raises(ExtraMissingError, match="proxy/tracing/endpoint is set") as refused:
        require_span_exporter(profile(ENDPOINT))
    assert refused.value.next_step == "pip install 'scout-deploy[otel]'"


@pytest.mark.usefixtures("missing")
def test_nothing_is_started_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"XDG_STATE_HOME": str(tmp_path), **without_docker(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(create_app(), ["up", "--set", f"proxy.tracing.endpoint={ENDPOINT}"])

    assert isinstance(result.exception, ExtraMissingError)
    assert not list(tmp_path.rglob("deployment.json"))
