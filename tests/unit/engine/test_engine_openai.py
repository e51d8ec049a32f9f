"""TGI's OpenAI-compatible routes on a real engine."""

import json
from typing import Any

import pytest
import requests

from scout_engine.chat_template import ChatTemplate
from scout_engine.errors import TemplateError

Json = dict[str, Any]
MESSAGES = [{"role": "user", "content": "Who are you?"}]


def post(http: requests.Session, url: str, path: str, **body: object) -> requests.Response:
    return http.post(f"{url}/{path}", json=body, timeout=120)


def chat(http: requests.Session, url: str, **body: object) -> Json:
    answer = post(http, url, "v1/chat/completions", **{"messages": MESSAGES, "temperature": 0, **body})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def events(answer: requests.Response) -> list[Json]:
    assert answer.status_code == 200, answer.text
    *data, done, rest = answer.content.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in data]


def test_models_lists_the_one_that_is_served(http: requests.Session, url: str) -> None:
    assert http.get(f"{url}/v1/models", timeout=120).json() == {
        "object": "list",
        "data": [{"id": "scout-demo-q8_0", "object": "model", "created": 0, "owned_by": "scout-demo-q8_0"}],
    }


def test_a_chat_answer_has_a_message_and_its_usage(http: requests.Session, url: str) -> None:
    answer = chat(http, url, max_tokens=5)

    assert (answer["object"], answer["model"]) == ("chat.completion", "scout-demo-q8_0")
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "length", None)
    usage = answer["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5


def test_a_streamed_chat_is_the_same_answer(http: requests.Session, url: str) -> None:
    whole = chat(http, url, max_tokens=12)

    chunks = events(
        post(
            http,
            url,
            "v1/chat/completions",
            messages=MESSAGES,
            temperature=0,
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    *pieces, usage = chunks
    text = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert text == whole["choices"][0]["message"]["content"]
    assert [piece["choices"][0]["finish_reason"] for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


def test_temperature_zero_repeats_and_none_samples(http: requests.Session, url: str) -> None:
    def text(**body: object) -> str:
        return str(chat(http, url, max_tokens=30, **body)["choices"][0]["message"]["content"])

    assert text() == text()
    assert len({text(temperature=1.5) for _ in range(4)}) > 1
    assert text(temperature=1.5, seed=4) == text(temperature=1.5, seed=4)


def test_logprobs_come_when_asked_for(http: requests.Session, url: str) -> None:
    content = chat(http, url, max_tokens=3, logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]["content"]

    assert [len(token["top_logprobs"]) for token in content] == [2, 2, 2]
    assert content[0]["logprob"] == content[0]["top_logprobs"][0]["logprob"]


def test_a_stop_string_may_be_one_or_a_list(http: requests.Session, url: str) -> None:
    content = chat(http, url, max_tokens=3, logprobs=True)["choices"][0]["logprobs"]["content"]
    wanted = content[1]["token"]

    for stop in (wanted, [wanted]):
        choice = chat(http, url, max_tokens=20, stop=stop)["choices"][0]
        assert choice["finish_reason"] == "stop_sequence"
        assert choice["message"]["content"].endswith(wanted)


def test_a_response_format_is_followed(http: requests.Session, url: str) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    for form in (
        {"type": "json", "value": schema},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    ):
        answer = chat(http, url, response_format=form, max_tokens=40)
        assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"ok"}


def test_message_parts_are_joined(http: requests.Session, url: str) -> None:
    parts = [{"type": "text", "text": "Who "}, {"type": "text", "text": "are you?"}]

    in_parts = chat(http, url, messages=[{"role": "user", "content": parts}], max_tokens=5)
    whole = chat(http, url, max_tokens=5)

    # Everything but the second in which each was made.
    assert in_parts | {"created": 0} == whole | {"created": 0}


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tool_error", "tools are not supported"),
        ({"n": 2}, "validation", "`n` != 1 is not supported"),
        ({"logit_bias": {"5": 10}}, "validation", "`logit_bias` is not supported"),
        ({"model": "gpt-4"}, "validation", '`model` "gpt-4" is not served here; send "tgi" or "scout-demo-q8_0"'),
        ({"top_logprobs": 6}, "validation", "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"presence_penalty": 3}, "validation", "`presence_penalty` must be"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "validation",
            "image modality is not supported",
        ),
    ],
)
def test_what_cannot_be_honoured_is_422(
    http: requests.Session, url: str, body: Json, error_type: str, message: str
) -> None:
    answer = post(http, url, "v1/chat/completions", **{"messages": MESSAGES, **body})

    assert answer.status_code == 422
    assert answer.json()["error_type"] == error_type
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": 5}, {"messages": [{"role": "user"}]}, {"messages": [{"content": "x"}]}, {"messages": ["x"]}],
)
def test_a_body_without_messages_is_422_in_plain_text(http: requests.Session, url: str, body: Json) -> None:
    answer = post(http, url, "v1/chat/completions", **body)

    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["tgi", "dummy", "scout-demo-q8_0", None])
def test_the_names_that_mean_this_model(http: requests.Session, url: str, name: str | None) -> None:
    assert chat(http, url, model=name, max_tokens=1)["model"] == "scout-demo-q8_0"


def test_a_failed_stream_says_so_in_an_event(http: requests.Session, url: str) -> None:
    (event,) = events(post(http, url, "v1/chat/completions", messages=MESSAGES, stream=True, temperature=-1))

    assert event["error"]["http_status_code"] == 422
    assert "`temperature` must be strictly positive" in event["error"]["message"]


def test_a_completion_answers_every_prompt(http: requests.Session, url: str) -> None:
    answer = post(http, url, "v1/completions", prompt=["Hello", "World"], max_tokens=4, temperature=0).json()
    alone = post(http, url, "v1/completions", prompt="World", max_tokens=4, temperature=0).json()

    assert answer["object"] == "text_completion"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] == 8
    assert len(alone["choices"]) == 1


def test_a_streamed_completion_interleaves_its_prompts(http: requests.Session, url: str) -> None:
    body = {"prompt": ["Hello", "World"], "max_tokens": 6, "temperature": 0, "stream": True}

    chunks = events(post(http, url, "v1/completions", **body))

    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1}
    endings = [chunk for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert [ending["usage"]["completion_tokens"] for ending in endings] == [6, 6]


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        ({"prompt": ["a"] * 5}, "batch size exceeded"),
        ({"prompt": "a", "suffix": "b"}, "suffix not supported"),
        ({"prompt": ""}, "validation"),
    ],
)
def test_a_refused_completion(http: requests.Session, url: str, body: Json, error_type: str) -> None:
    answer = post(http, url, "v1/completions", **body)

    assert (answer.status_code, answer.json()["error_type"]) == (422, error_type)


def test_chat_tokenize_shows_the_rendered_prompt(http: requests.Session, url: str) -> None:
    answer = post(http, url, "chat_tokenize", messages=MESSAGES).json()

    text = answer["templated_text"]
    assert text.startswith("<|begin_of_text|>")
    assert text.count("<|begin_of_text|>") == 1
    assert "Who are you?" in text
    tokens = answer["tokenize_response"]
    assert "".join(token["text"] for token in tokens) == text
    assert chat(http, url, max_tokens=1)["usage"]["prompt_tokens"] == len(tokens)


def test_an_open_assistant_message_is_continued() -> None:
    template = ChatTemplate(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}<end>{% endfor %}[assistant]",
        bos="<s>",
        eos="</s>",
    )
    user = {"role": "user", "content": "Hi"}

    assert template.render([user]) == "<s>[user]Hi<end>[assistant]"
    assert template.render([user, {"role": "assistant", "content": "Well, "}]) == "<s>[user]Hi<end>[assistant]Well,"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "Template error: template not found"),
        ("{{ raise_exception('roles must alternate') }}", "Template error: roles must alternate"),
        ("{{ messages[0].content.__class__.__mro__ }}", "Template error: .*unsafe"),
        ("{% if %}", "Template error: "),
    ],
)
def test_a_template_that_refuses_is_named(source: str | None, message: str) -> None:
    template = ChatTemplate(source, bos="", eos="")

    with pytest.raises(TemplateError, match=message):
        template.render(MESSAGES)
