"""TGI's native routes on a real engine."""

import json
from typing import Any

import pytest
import requests

Json = dict[str, Any]


def post(http: requests.Session, url: str, **body: object) -> requests.Response:
    return http.post(url, json=body, timeout=120)


def generate(http: requests.Session, url: str, inputs: str = "Once upon a time", **parameters: object) -> Json:
    answer = post(http, f"{url}/generate", inputs=inputs, parameters={"details": True, **parameters})
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def details(answer: Json) -> Json:
    found: Json = answer["details"]
    return found


def stream(http: requests.Session, url: str, inputs: str = "Once upon a time", **parameters: object) -> list[Json]:
    answer = post(http, f"{url}/generate_stream", inputs=inputs, parameters=parameters)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    events = answer.content.decode().split("\n\n")
    assert events.pop() == ""
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
def test_health_is_an_empty_200(http: requests.Session, url: str, path: str) -> None:
    answer = http.get(url + path, timeout=120)

    assert (answer.status_code, answer.content) == (200, b"")


def test_info_names_the_model_and_its_limits(http: requests.Session, url: str) -> None:
    info = http.get(f"{url}/info", timeout=120).json()

    assert info["model_id"] == "scout-demo-q8_0"
    assert (info["max_input_tokens"], info["max_total_tokens"]) == (511, 512)
    assert (info["max_concurrent_requests"], info["max_best_of"], info["max_stop_sequences"]) == (128, 2, 4)


def test_an_answer_has_details_and_headers(http: requests.Session, url: str) -> None:
    answer = post(http, f"{url}/generate", inputs="Hi 世界", parameters={"max_new_tokens": 4, "details": True})

    body = answer.json()
    told = details(body)
    assert list(told) == ["finish_reason", "generated_tokens", "seed", "prefill", "tokens"]
    assert (told["finish_reason"], told["generated_tokens"], told["seed"], told["prefill"]) == ("length", 4, None, [])
    assert len(told["tokens"]) == 4
    assert list(told["tokens"][0]) == ["id", "text", "logprob", "special"]
    assert body["generated_text"] == "".join(str(token["text"]) for token in told["tokens"])
    assert answer.headers["x-generated-tokens"] == "4"
    assert answer.headers["x-compute-characters"] == "5"
    assert int(answer.headers["x-prompt-tokens"]) > 2
    for name in ("x-total-time", "x-validation-time", "x-queue-time", "x-inference-time", "x-time-per-token"):
        assert answer.headers[name].isdecimal()


def test_without_details_there_are_none(http: requests.Session, url: str) -> None:
    answer = post(http, f"{url}/generate", inputs="Hi", parameters={"max_new_tokens": 2})

    assert list(answer.json()) == ["generated_text"]


def test_a_stream_is_the_same_answer_in_pieces(http: requests.Session, url: str) -> None:
    whole = generate(http, url, max_new_tokens=12)

    events = stream(http, url, max_new_tokens=12, details=True)

    assert [event["index"] for event in events] == list(range(1, 13))
    assert [event["token"] for event in events] == details(whole)["tokens"]
    assert [event["generated_text"] for event in events] == [None] * 11 + [whole["generated_text"]]
    assert [event["details"] for event in events[:-1]] == [None] * 11
    last = details(events[-1])
    assert (last["finish_reason"], last["generated_tokens"], last["seed"]) == ("length", 12, None)
    assert "top_tokens" not in events[0]


def test_the_compatible_route_answers_a_list_with_the_prompt(http: requests.Session, url: str) -> None:
    alone = generate(http, url, max_new_tokens=3)["generated_text"]

    parameters = {"max_new_tokens": 3}
    with_prompt = post(http, url, inputs="Once upon a time", parameters=parameters).json()
    without = post(http, url, inputs="Once upon a time", parameters={**parameters, "return_full_text": False}).json()

    assert with_prompt == [{"generated_text": f"Once upon a time{alone}"}]
    assert without == [{"generated_text": alone}]


def test_the_compatible_route_streams(http: requests.Session, url: str) -> None:
    answer = post(http, url, inputs="Hi", parameters={"max_new_tokens": 2, "return_full_text": False}, stream=True)

    assert answer.content.count(b"data: ") == 2


def test_the_same_seed_gives_the_same_text_and_another_a_different_one(http: requests.Session, url: str) -> None:
    first, again, other = (
        generate(http, url, max_new_tokens=24, do_sample=True, seed=seed)["generated_text"] for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
def test_every_64_bit_seed_is_taken_and_told(http: requests.Session, url: str, seed: int) -> None:
    answers = [generate(http, url, max_new_tokens=24, do_sample=True, seed=seed) for _ in range(2)]

    assert [details(answer)["seed"] for answer in answers] == [seed, seed]
    assert answers[0]["generated_text"] == answers[1]["generated_text"]


def test_seeds_that_differ_above_32_bits_differ(http: requests.Session, url: str) -> None:
    texts = {
        str(generate(http, url, max_new_tokens=24, do_sample=True, seed=seed)["generated_text"])
        for seed in (5, 5 + 2**32, 5 + 2**40, 2**31 + 5, 2**32 - 2)
    }

    assert len(texts) == 5


def test_sampling_without_a_seed_differs_and_tells_its_seed(http: requests.Session, url: str) -> None:
    first, second = (generate(http, url, max_new_tokens=24, do_sample=True) for _ in range(2))
    assert first["generated_text"] != second["generated_text"]

    repeated = generate(http, url, max_new_tokens=24, do_sample=True, seed=details(first)["seed"])

    assert repeated["generated_text"] == first["generated_text"]


def test_a_temperature_of_one_alone_is_greedy(http: requests.Session, url: str) -> None:
    assert generate(http, url, max_new_tokens=8, temperature=1.0) == generate(http, url, max_new_tokens=8)


def test_a_repeated_greedy_request_gets_the_same_answer(http: requests.Session, url: str) -> None:
    prompts = [f"{start} {number} things, the first of which" for number in range(6) for start in ("There are", "有")]

    first = [generate(http, url, prompt, max_new_tokens=40) for prompt in prompts]

    assert [generate(http, url, prompt, max_new_tokens=40) for prompt in prompts] == first


def test_best_of_shows_the_others_and_the_likeliest_first(http: requests.Session, url: str) -> None:
    answer = generate(http, url, max_new_tokens=8, do_sample=True, best_of=2)

    best = details(answer)
    (other,) = best["best_of_sequences"]
    assert other["generated_text"] != answer["generated_text"]
    assert other["seed"] != best["seed"]

    def mean(tokens: list[Json]) -> float:
        known = [float(token["logprob"]) for token in tokens if token["logprob"] is not None]
        return sum(known) / len(known)

    assert mean(best["tokens"]) >= mean(other["tokens"])


def test_a_stop_string_is_kept(http: requests.Session, url: str) -> None:
    tokens = details(generate(http, url, max_new_tokens=20))["tokens"]
    wanted = str(tokens[5]["text"])
    before = [str(token["text"]) for token in tokens[:5]]

    answer = generate(http, url, max_new_tokens=20, stop=[wanted])

    assert str(answer["generated_text"]).endswith(wanted)
    assert details(answer)["finish_reason"] == "stop_sequence"
    assert len(details(answer)["tokens"]) <= len(before) + 1


def test_alternatives_come_with_each_token(http: requests.Session, url: str) -> None:
    top = details(generate(http, url, max_new_tokens=3, top_n_tokens=4))

    assert [len(alternatives) for alternatives in top["top_tokens"]] == [4, 4, 4]
    first = stream(http, url, max_new_tokens=3, top_n_tokens=4)[0]
    assert list(first) == ["index", "token", "top_tokens", "generated_text", "details"]
    assert isinstance(first["top_tokens"], list)
    assert first["top_tokens"][0] == first["token"]


def test_truncate_keeps_the_end(http: requests.Session, url: str) -> None:
    answer = post(http, f"{url}/generate", inputs="word " * 200, parameters={"max_new_tokens": 1, "truncate": 7})

    assert answer.headers["x-prompt-tokens"] == "7"


def test_without_max_new_tokens_the_context_is_filled(http: requests.Session, url: str) -> None:
    schema = {"properties": {"a": {"type": "array", "items": {"type": "boolean"}, "minItems": 600}}, "required": ["a"]}

    answer = post(http, f"{url}/generate", inputs="Hi", parameters={"grammar": {"type": "json", "value": schema}})

    assert int(answer.headers["x-prompt-tokens"]) + int(answer.headers["x-generated-tokens"]) == 512


def test_chinese_comes_in_whole_characters_with_every_token_counted(http: requests.Session, url: str) -> None:
    events = stream(http, url, "从前有一座山，山里有一座庙", max_new_tokens=40, do_sample=True, seed=3, details=True)

    texts = [str(event["token"]["text"]) for event in events if not event["token"]["special"]]
    assert "".join(texts) == events[-1]["generated_text"]
    assert details(events[-1])["generated_tokens"] == len(events)


def test_a_json_schema_is_followed(http: requests.Session, url: str) -> None:
    schema: Json = {"properties": {"city": {"enum": ["Paris", "Rome"]}, "n": {"type": "integer", "maximum": 9}}}
    schema["required"] = ["city", "n"]

    for kind, value in (("json", schema), ("json", json.dumps(schema)), ("json_schema", {"schema": schema})):
        answer = generate(http, url, max_new_tokens=60, grammar={"type": kind, "value": value})
        parsed = json.loads(str(answer["generated_text"]))
        assert set(parsed) == {"city", "n"}
        assert parsed["city"] in ("Paris", "Rome")
        assert details(answer)["finish_reason"] == "eos_token"
        assert details(answer)["tokens"][-1]["special"] is True


def test_a_schema_that_cannot_be_followed_is_refused(http: requests.Session, url: str) -> None:
    schema = {"properties": {"a": {"type": "nonsense"}}}

    answer = post(http, f"{url}/generate", inputs="Hi", parameters={"grammar": {"type": "json", "value": schema}})

    assert answer.status_code == 422
    assert answer.json()["error_type"] == "validation"
    assert "cannot follow the JSON schema" in answer.json()["error"]


def test_penalties_change_what_seeds_give(http: requests.Session, url: str) -> None:
    # Hot sampling: a model that is sure of its text keeps its greedy choice under any penalty.
    def texts(repetition: float = 1.0, frequency: float = 0.0) -> list[object]:
        penalties = {"repetition_penalty": repetition, "frequency_penalty": frequency}
        hot = {"max_new_tokens": 60, "temperature": 3.0, **penalties}
        answers = [post(http, f"{url}/generate", inputs="Hi", parameters={**hot, "seed": seed}) for seed in range(5)]
        return [answer.json()["generated_text"] for answer in answers]

    plain = texts()

    assert texts() == plain
    assert texts(repetition=1.5) != plain
    assert texts(frequency=2.0) != plain


def test_tokens_have_byte_offsets(http: requests.Session, url: str) -> None:
    text = "Hello 世界"

    tokens = post(http, f"{url}/tokenize", inputs=text).json()

    assert (tokens[0]["text"], tokens[0]["start"], tokens[0]["stop"]) == ("", 0, 0)
    assert tokens[-1]["stop"] == len(text.encode())
    assert b"".join(text.encode()[token["start"] : token["stop"]] for token in tokens) == text.encode()


def test_a_refused_request_says_why_in_tgis_shape(http: requests.Session, url: str) -> None:
    answer = post(http, f"{url}/generate", inputs="Hi", parameters={"temperature": 0})

    assert answer.status_code == 422
    assert answer.json() == {
        "error": "Input validation error: `temperature` must be strictly positive",
        "error_type": "validation",
    }


def test_a_refused_stream_is_a_200_with_one_event(http: requests.Session, url: str) -> None:
    (event,) = stream(http, url, max_new_tokens=0)

    assert event["error_type"] == "validation"


def test_too_long_a_prompt_is_refused(http: requests.Session, url: str) -> None:
    answer = post(http, f"{url}/generate", inputs="a b " * 2000, parameters={"max_new_tokens": 1})

    assert answer.status_code == 422
    assert "`inputs` tokens + `max_new_tokens` must be <= 512" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "application/json", 422),
        (b'{"inputs": "x"}', "text/plain", 415),
        (b'{"inputs": "' + b"x" * 2_000_000 + b'"}', "application/json", 413),
    ],
)
def test_a_bad_body_is_answered_in_plain_text(
    http: requests.Session, url: str, body: bytes, content_type: str, status: int
) -> None:
    answer = http.post(f"{url}/generate", data=body, headers={"Content-Type": content_type}, timeout=120)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")


def test_metrics_count_under_tgis_names(http: requests.Session, url: str) -> None:
    def value(name: str) -> float:
        lines = http.get(f"{url}/metrics", timeout=120).text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    before = value("tgi_request_success"), value("tgi_request_generated_tokens_sum")
    generate(http, url, max_new_tokens=5)

    assert (value("tgi_request_success"), value("tgi_request_generated_tokens_sum")) == (before[0] + 1, before[1] + 5)
    assert value("tgi_queue_size") == 0
    assert value("tgi_batch_current_size") == 0


@pytest.mark.parametrize("character", ["x", "海", " ", "!"])
@pytest.mark.parametrize("path", ["/tokenize", "/generate"])
def test_a_word_without_end_is_refused_and_the_engine_lives(
    http: requests.Session, url: str, path: str, character: str
) -> None:
    refused = post(http, url + path, inputs=character * 60_000)

    assert refused.status_code == 422
    assert "in a row for this engine's tokenizer" in refused.json()["error"]
    assert len(post(http, f"{url}/tokenize", inputs=character * 8_000).json()) > 1
    assert http.get(f"{url}/health", timeout=30).status_code == 200
