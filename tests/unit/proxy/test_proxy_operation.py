import re

import pytest

from fakes.fake_engine import FakeEngine
from fakes.running_proxy import RunningProxy, wait_until
from scout_proxy.routes.docs_page import render_docs


def test_status_shows_declared_and_observed_state(proxy: RunningProxy, engine: FakeEngine) -> None:
    # What a test before this one left: a failure that an answer takes back, a request that has not gone yet.
    proxy.generate()
    wait_until(lambda: proxy.upstream("engine-0")["in_flight"] == 0, "the engine is idle")
    status = proxy.status()

    assert status["status"] == "active"
    assert (status["deployment"], status["profile"]) == ("test", "test-profile")
    assert status["identity"]["name"] == "Llama 4 Scout-17B API"
    assert status["serving"]["model_id"] == "fake/model"
    assert status["uptime_s"] > 0
    assert status["limits"]["deadline_s"] == 600
    assert status["route_table"]["reload_error"] is None
    assert status["hold"] is None
    assert status["upstreams"][0].pop("proven_s") > 0
    assert status["upstreams"] == [
        {
            "id": "engine-0",
            "url": engine.url,
            "protocol": "tgi",
            "declared": "starting",
            "phase": None,
            "observed": "serving",
            "reason": None,
            "in_flight": 0,
            "takes_requests": True,
            "capacity": {
                "max_input_tokens": 1023,
                "max_total_tokens": 1024,
                "max_stop_sequences": 4,
                "model_id": "fake/model",
                "version": "3.3.6-dev0",
            },
        }
    ]


def test_metrics_count_requests_tokens_and_upstreams(proxy: RunningProxy) -> None:
    proxy.generate()
    wait_until(lambda: proxy.samples()["scout_proxy_requests_in_flight",] == 1, "nothing is left of other tests")
    assert proxy.get("/metrics").headers["Content-Type"].startswith("text/plain")
    before = proxy.samples()

    proxy.generate(num_return_sequences=2)
    proxy.post(json={})
    proxy.get("/some/path/that/is/not/a/label")

    after = proxy.samples()
    generated = ("scout_proxy_requests_total", "/generate", "200")
    assert after[generated] == before[generated] + 1
    assert after["scout_proxy_requests_total", "/generate", "422"] >= 1
    assert after["scout_proxy_requests_total", "other", "404"] >= 1
    assert after["scout_proxy_generated_tokens_total",] == before["scout_proxy_generated_tokens_total",] + 10
    assert after["scout_proxy_prompt_tokens_total",] == before["scout_proxy_prompt_tokens_total",] + 6
    assert after["scout_proxy_upstream_up", "engine-0"] == 1
    assert after["scout_proxy_upstream_requests_in_flight", "engine-0"] == 0
    assert after["scout_proxy_requests_in_flight",] == 1
    assert after["scout_proxy_upstream_request_duration_seconds_count", "engine-0"] >= 3
    assert not [key for key in after if "/some/path/that/is/not/a/label" in key]


@pytest.mark.parametrize("sent", ["abc-123", "a" * 128, "0af7651916cd43dd8448eb211c80319c"])
def test_a_sane_request_id_is_echoed(proxy: RunningProxy, sent: str) -> None:
    assert proxy.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", 'x"y', "x;y"])
def test_a_strange_request_id_is_replaced(proxy: RunningProxy, sent: str) -> None:
    answered = proxy.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert re.fullmatch("[0-9a-f]{32}", answered)


def test_every_answer_carries_a_request_id(proxy: RunningProxy) -> None:
    answers = [
        proxy.get("/"),
        proxy.get("/nope"),
        proxy.post(json={}),
        proxy.post("/health"),
        proxy.post(data=b"x" * 3_000_000),
        proxy.get("/metrics"),
    ]

    assert [answer.status_code for answer in answers] == [200, 404, 422, 405, 413, 200]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == len(answers)


def test_unknown_routes_and_methods_keep_the_frameworks_body(proxy: RunningProxy) -> None:
    assert proxy.get("/nope").json() == {"detail": "Not Found"}
    refused = proxy.get("/generate")
    assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
    assert refused.headers["Allow"] == "POST"


def test_the_openapi_document_declares_every_answer_of_generate(proxy: RunningProxy) -> None:
    document = proxy.get("/openapi.json").json()

    operation = document["paths"]["/generate"]["post"]
    assert set(operation["responses"]) == {"200", "401", "408", "413", "415", "422", "429", "500", "503", "504"}
    for response in operation["responses"].values():
        assert "X-Request-ID" in response["headers"]
        assert response["content"]["application/json"]["schema"]["$ref"].startswith("#/components/schemas/")
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    request = document["components"]["schemas"]["GenerateRequest"]
    assert request["example"]["prompt"] == "用 Python 编写一个计算斐波那契数列的函数"
    assert {"/", "/health", "/generate", "/status", "/metrics"} <= set(document["paths"])
    assert document["info"]["version"] == "1.0.0"


def test_the_openapi_document_states_the_limits_of_the_moment(proxy: RunningProxy) -> None:
    proxy.limit(max_num_return_sequences=3)

    document = proxy.get("/openapi.json").json()

    sequences = document["components"]["schemas"]["GenerateRequest"]["properties"]["num_return_sequences"]
    assert sequences["anyOf"][0]["maximum"] == 3
    assert proxy.generate(num_return_sequences=4).status_code == 422


def test_the_docs_page_is_complete_and_loads_nothing(proxy: RunningProxy) -> None:
    page = proxy.get("/docs")

    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", page.text)
    assert "<script" not in page.text
    for text in ("/generate", "max_length", "num_return_sequences", "503", "Model or tokenizer not loaded", "斐波那契"):
        assert text in page.text


def test_the_docs_page_escapes_what_a_profile_says() -> None:
    document = {"info": {"title": "<script>", "version": "1", "description": "<b>"}, "paths": {}}

    assert "<script>" not in render_docs(document)
    assert "<b>" not in render_docs(document)
