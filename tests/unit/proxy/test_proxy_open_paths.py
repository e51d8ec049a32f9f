import pytest

from fakes.api_keys import api_keys
from scout_proxy.access.open_paths import needs_key


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json"])
def test_what_tells_of_the_service_is_open(path: str) -> None:
    assert not needs_key("GET", path, api_keys())
    assert not needs_key("HEAD", path, api_keys())
    assert needs_key("POST", path, api_keys())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/generate"),
        ("POST", "/generate_stream"),
        ("GET", "/info"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("OPTIONS", "/generate"),
        ("GET", "//health"),
        ("GET", "/health/"),
        ("GET", "/HEALTH"),
        ("GET", "/docs/../generate"),
        ("GET", "/nothing"),
        ("get", "/health"),
    ],
)
def test_everything_else_needs_a_key(method: str, path: str) -> None:
    assert needs_key(method, path, api_keys())
    assert not needs_key(method, path, None)


def test_metrics_and_status_are_open_by_the_table() -> None:
    assert [needs_key("GET", path, api_keys()) for path in ("/metrics", "/status")] == [True, True]
    assert [needs_key("GET", path, api_keys(open_metrics=True)) for path in ("/metrics", "/status")] == [False, True]
    assert [needs_key("GET", path, api_keys(open_status=True)) for path in ("/metrics", "/status")] == [True, False]
