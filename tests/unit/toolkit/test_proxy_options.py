"""What a profile says of logs and spans, as the proxy's own command line takes it."""

from pathlib import Path
from typing import Any

import pytest

from scout_deploy.profile.proxy import Log, Proxy
from scout_deploy.proxy_options import proxy_options
from scout_proxy.__main__ import parse_config
from scout_proxy.config import ProxyConfig

ROUTES = Path("/r.json")


def options(**sections: Any) -> tuple[str, ...]:
    return proxy_options(Proxy.model_validate(sections))


def test_nothing_is_said_of_what_is_as_by_default() -> None:
    assert options() == ()
    usual = ProxyConfig(routes=ROUTES)
    assert Log().model_dump() == {
        "format": usual.log_format,
        "level": usual.log_level,
        "access": usual.access_log,
        "prompts": usual.log_prompts,
    }


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"log": {"format": "json"}}, ("--log-format", "json")),
        ({"log": {"level": "warning"}}, ("--log-level", "warning")),
        ({"log": {"access": "sampled"}}, ("--access-log", "sampled")),
        ({"log": {"access": "all", "prompts": True}}, ("--access-log", "all", "--log-prompts")),
        ({"tracing": {"endpoint": "http://c:4318"}}, ("--otlp-endpoint", "http://c:4318")),
    ],
)
def test_what_is_chosen_is_an_option_that_the_proxy_takes(sections: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert options(**sections) == expected
    assert parse_config(["--routes", str(ROUTES), *expected]) != ProxyConfig(routes=ROUTES)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_proxy_takes_every_level_and_format_of_a_profile(form: str, level: str) -> None:
    config = parse_config(["--routes", str(ROUTES), *options(log={"format": form, "level": level})])

    assert (config.log_format, config.log_level) == (form, level)
