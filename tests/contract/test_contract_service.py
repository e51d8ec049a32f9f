"""What the service says of itself: its identity, health, documentation, status and metrics."""

import re

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from contract.api import Api
from fakes.running_proxy import wait_until

STATUSES_OF_GENERATE = {"200", "401", "408", "413", "415", "422", "429", "500", "503", "504"}


def test_root_has_exactly_the_documented_keys_and_says_active(api: Api) -> None:
    answer = api.get("/")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert list(body) == ["name", "version", "status", "model"]
    assert body["version"] == "1.0.0"
    assert body["status"] == "active"
    assert body["name"]
    assert body["model"]


def test_health_has_exactly_the_documented_body(api: Api) -> None:
    answer = api.get("/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy"}


def test_a_request_id_is_echoed(api: Api) -> None:
    answer = api.get("/", headers={"X-Request-ID": "order-66/a.b:c"})

    assert answer.headers["X-Request-ID"] == "order-66/a.b:c"


@pytest.mark.parametrize("sent", [None, "", "two words", "x" * 129, '"quoted"'])
def test_a_request_without_a_sane_id_is_given_one(api: Api, sent: str | None) -> None:
    first, second = (api.get("/", headers={"X-Request-ID": sent}).headers["X-Request-ID"] for _ in range(2))

    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert first != second


def test_errors_carry_a_request_id_too(api: Api) -> None:
    answer = api.post(b"{", headers={"X-Request-ID": "bad-one"})

    assert answer.status_code == 422
    assert answer.headers["X-Request-ID"] == "bad-one"


@pytest.mark.parametrize("path", ["/nowhere", "/generate/", "/generate/more", "/HEALTH"])
def test_an_unknown_path_is_a_404_with_a_detail(api: Api, path: str) -> None:
    answer = api.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"detail": "Not Found"}


def test_a_wrong_method_is_a_405_that_names_the_right_one(api: Api) -> None:
    answer = api.get("/generate")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.json() == {"detail": "Method Not Allowed"}


def test_the_openapi_document_declares_every_answer_of_generate_with_its_body(api: Api) -> None:
    document = api.get("/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    assert {"/", "/health", "/generate", "/status", "/metrics"} <= document["paths"].keys()
    generate = document["paths"]["/generate"]["post"]
    assert generate["responses"].keys() >= STATUSES_OF_GENERATE
    for answer in generate["responses"].values():
        assert answer["content"]["application/json"]["schema"]
        assert "X-Request-ID" in answer["headers"]
    assert {"429", "503"} == {
        status for status, answer in generate["responses"].items() if "Retry-After" in answer["headers"]
    }
    assert document["paths"]["/health"]["get"]["responses"].keys() == {"200", "503"}


def test_the_openapi_document_states_the_documented_fields_and_defaults(api: Api) -> None:
    request = api.get("/openapi.json").json()["components"]["schemas"]["GenerateRequest"]

    documented = {"max_length": 512, "temperature": 0.7, "top_p": 0.9, "top_k": 50, "num_return_sequences": 1}
    assert request["required"] == ["prompt"]
    assert {name: request["properties"][name]["default"] for name in documented} == documented
    Draft202012Validator.check_schema(request)
    Draft202012Validator(request).validate(request["example"])


def test_the_docs_page_shows_the_contract_and_loads_nothing_from_elsewhere(api: Api) -> None:
    answer = api.get("/docs")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert all(word in answer.text for word in ["/generate", "/health", "num_return_sequences", "503", "Retry-After"])
    assert not re.search(r"<script|(?:src|href)=[\"']?(?:https?:)?//", answer.text)


def test_status_names_what_really_answers_and_what_is_in_flight(api: Api) -> None:
    # What a client has left is gone a moment later.
    wait_until(lambda: api.status()["in_flight"] == 0, "nothing is in flight", 300)
    status = api.status()

    assert status["status"] == "active"
    assert status["serving"]["model_id"]
    assert status["serving"]["engine"]
    assert status["deployment"]
    assert status["profile"]
    assert status["identity"] == {key: value for key, value in api.get("/").json().items() if key in {"name", "model"}}
    assert {upstream["observed"] for upstream in status["upstreams"]} == {"serving"}
    assert all(upstream["capacity"]["max_total_tokens"] > 1 for upstream in status["upstreams"])


def test_metrics_are_in_prometheus_format_and_count_requests(api: Api) -> None:
    def generated() -> float:
        families = list(text_string_to_metric_families(api.get("/metrics").text))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "scout_proxy_requests_total" and sample.labels == {"route": "/generate", "status": "200"}
        )

    before = generated()
    assert api.generate(max_length=1).status_code == 200

    assert generated() >= before + 1
    assert api.get("/metrics").headers["Content-Type"].startswith("text/plain; version=")
