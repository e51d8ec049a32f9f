"""The clients that people have, unchanged but for the base URL, in front of a real engine.

What is tested is that their own types hold our answers and their own errors our refusals; the model knows nothing.
Where tokens are counted it takes the likeliest ones: of a hundred that are drawn, one is the end of the text.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import huggingface_hub.errors
import openai
import pytest
import text_generation
import text_generation.errors
from huggingface_hub import AsyncInferenceClient, InferenceClient
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import BaseModel, SecretStr

from fakes.demo_template import demo_template
from fakes.engine_process import EngineProcess, running_engine
from fakes.running_proxy import RunningProxy, route_table, running_proxy

MODEL = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
MESSAGES: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Tell me a story."}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
KEY = "unused"
TOO_LONG = "word " * 5_000

_T = TypeVar("_T")


class Verdict(BaseModel):
    """What a model that knows nothing can say in few tokens."""

    is_true: bool


@pytest.fixture(scope="module")
def real_engine() -> Iterator[EngineProcess]:
    with running_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def real_proxy(real_engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    path = tmp_path_factory.mktemp("clients") / "routes.json"
    with running_proxy(path, route_table(real_engine.url, template=demo_template())) as proxy:
        proxy.wait_for("active")
        yield proxy


@pytest.fixture
def openai_client(real_proxy: RunningProxy) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{real_proxy.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def hub_client(real_proxy: RunningProxy) -> InferenceClient:
    return InferenceClient(real_proxy.url)


@pytest.fixture
def chat_model(real_proxy: RunningProxy) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{real_proxy.url}/v1",
        api_key=SecretStr(KEY),
        model=MODEL,
        max_completion_tokens=6,
        temperature=0,
        max_retries=0,
    )


def test_openai_chats(openai_client: OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_completion_tokens=6, temperature=0
    )

    assert (answer.model, answer.object, answer.choices[0].finish_reason) == (MODEL, "chat.completion", "length")
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6


def test_openai_streams_chats_with_counts(openai_client: OpenAI) -> None:
    *chunks, last = openai_client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        max_tokens=6,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "length"]
    assert last.usage is not None
    assert last.usage.completion_tokens == 6


def test_openai_gives_several_choices_and_the_same_again_for_a_seed(openai_client: OpenAI) -> None:
    def texts() -> list[str | None]:
        answer = openai_client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=12, n=2, seed=7)
        return [choice.message.content for choice in answer.choices]

    first, second = texts()

    assert first != second
    assert texts() == [first, second]


def test_openai_reads_logprobs(openai_client: OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=3, logprobs=True, top_logprobs=2, temperature=0
    )

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(token.token for token in logprobs.content) == answer.choices[0].message.content
    assert [len(token.top_logprobs) for token in logprobs.content] == [2, 2, 2]
    assert bytes(logprobs.content[0].bytes or []).decode() == logprobs.content[0].token


def test_openai_parses_what_a_schema_constrains(openai_client: OpenAI) -> None:
    answer = openai_client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, response_format=Verdict, max_tokens=40, temperature=0
    )

    assert isinstance(answer.choices[0].message.parsed, Verdict)
    assert answer.choices[0].finish_reason == "stop"


def test_openai_stops_before_a_stop_string(openai_client: OpenAI) -> None:
    def ask(stop: str | None) -> Any:
        return openai_client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=12, temperature=0, stop=stop
        ).choices[0]

    whole = ask(None).text
    stop = whole.split()[-1]

    assert (ask(stop).text, ask(stop).finish_reason) == (whole[: whole.index(stop)], "stop")


def test_openai_completes_and_streams_completions(openai_client: OpenAI) -> None:
    answer = openai_client.completions.create(model=MODEL, prompt=["Once", "Then"], max_tokens=4, n=2)
    chunks = openai_client.completions.create(model=MODEL, prompt="Once", max_tokens=4, temperature=0, stream=True)

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert "".join(chunk.choices[0].text for chunk in chunks)


def test_openai_finds_the_model(openai_client: OpenAI) -> None:
    assert [model.id for model in openai_client.models.list()] == [MODEL]
    assert openai_client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        openai_client.models.retrieve("gpt-4o")


@pytest.mark.parametrize("stream", [False, True])
def test_openai_raises_its_own_errors(openai_client: OpenAI, *, stream: bool) -> None:
    create = openai_client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="gpt-4o", messages=MESSAGES, stream=stream)
    with pytest.raises(openai.BadRequestError) as too_long:
        create(model=MODEL, messages=[{"role": "user", "content": TOO_LONG}], stream=stream)
    with pytest.raises(openai.BadRequestError, match="tools are not supported") as no_tools:
        create(model=MODEL, messages=MESSAGES, stream=stream, tools=[TOOL])
    with pytest.raises(openai.BadRequestError) as not_ours:
        create(model=MODEL, messages=MESSAGES, stream=stream, logit_bias={"1": 1})

    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert too_long.value.code == "context_length_exceeded"
    assert no_tools.value.type == "invalid_request_error"
    assert not_ours.value.code == "unsupported_parameter"


def test_openai_gets_what_is_left_of_the_context(openai_client: OpenAI) -> None:
    content = "word " * 4_060

    answer = openai_client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=100_000, temperature=0
    )

    assert answer.usage is not None
    assert answer.usage.total_tokens <= 4096


def test_the_async_openai_client_streams_choices_interleaved(real_proxy: RunningProxy) -> None:
    async def ask() -> list[tuple[int, str]]:
        async with AsyncOpenAI(base_url=f"{real_proxy.url}/v1", api_key=KEY, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, max_tokens=6, n=2, seed=7, stream=True
            )
            return [(chunk.choices[0].index, chunk.choices[0].delta.content or "") async for chunk in stream]

    told = asyncio.run(ask())

    assert {index for index, _ in told} == {0, 1}
    assert all("".join(text for index, text in told if index == wanted) for wanted in (0, 1))


def test_langchain_invokes_and_streams(chat_model: ChatOpenAI) -> None:
    answer = chat_model.invoke("Tell me a story.")
    chunks = list(chat_model.stream([("system", "Be kind."), ("user", "Tell me a story.")], stream_usage=True))

    assert answer.content
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 6
    assert "".join(str(chunk.content) for chunk in chunks)
    assert [chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata] == [6]


def test_langchain_is_asynchronous_too(chat_model: ChatOpenAI) -> None:
    async def ask() -> tuple[Any, list[Any]]:
        return (await chat_model.ainvoke("Hello")).content, [
            chunk.content async for chunk in chat_model.astream("Hello")
        ]

    whole, pieces = asyncio.run(ask())

    assert whole
    assert any(pieces)


def test_langchain_gives_structured_output(chat_model: ChatOpenAI) -> None:
    model = chat_model.model_copy(update={"max_tokens": 40, "temperature": 0})

    assert isinstance(model.with_structured_output(Verdict).invoke("Is it true?"), Verdict)


def test_langchain_says_what_is_wrong(chat_model: ChatOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tools are not supported"):
        chat_model.with_structured_output(Verdict, method="function_calling").invoke("Is it true?")


def test_the_hub_generates_text(hub_client: InferenceClient) -> None:
    text = hub_client.text_generation("Once upon a time", max_new_tokens=4, return_full_text=False)
    whole = hub_client.text_generation("Once upon a time", max_new_tokens=4, details=True, return_full_text=True)

    assert text
    assert whole.generated_text == "Once upon a time" + text
    assert whole.details is not None
    assert (whole.details.generated_tokens, len(whole.details.tokens)) == (4, 4)


def test_the_hub_streams_text(hub_client: InferenceClient) -> None:
    prompt = "Once upon a time"
    pieces = list(hub_client.text_generation(prompt, max_new_tokens=4, stream=True))
    *_, last = hub_client.text_generation(prompt, max_new_tokens=4, stream=True, details=True, return_full_text=False)

    assert len(pieces) == 4
    assert last.generated_text == "".join(pieces)
    assert last.details is not None
    assert last.details.generated_tokens == 4


def test_the_hub_chats(hub_client: InferenceClient, real_proxy: RunningProxy) -> None:
    answer = hub_client.chat_completion([{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0)
    chunks = list(
        InferenceClient(base_url=real_proxy.url).chat.completions.create(
            messages=MESSAGES, model=MODEL, max_tokens=4, temperature=0, stream=True
        )
    )

    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens == 4
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_the_hub_raises_its_own_errors(hub_client: InferenceClient, *, stream: bool) -> None:
    with pytest.raises(huggingface_hub.errors.ValidationError, match="tokens"):
        list(hub_client.text_generation(TOO_LONG, max_new_tokens=4, stream=stream))
    with pytest.raises(huggingface_hub.errors.ValidationError, match="temperature"):
        list(hub_client.text_generation("Hello", temperature=-1.0, stream=stream))


def test_the_hubs_async_client_streams_text(real_proxy: RunningProxy) -> None:
    async def ask() -> list[str]:
        client = AsyncInferenceClient(real_proxy.url)
        return [piece async for piece in await client.text_generation("Once", max_new_tokens=4, stream=True)]

    assert len(asyncio.run(ask())) == 4


# The library itself uses what pydantic has deprecated.
OWN_LIBRARY = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")


def ask_library(proxy: RunningProxy, ask: Callable[[text_generation.AsyncClient], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        return await ask(text_generation.AsyncClient(proxy.url))

    return asyncio.run(run())


async def stream_of(client: text_generation.AsyncClient, prompt: str) -> list[Any]:
    return [response async for response in client.generate_stream(prompt, max_new_tokens=4)]


@OWN_LIBRARY
def test_the_async_client_of_text_generation_generates_and_streams(real_proxy: RunningProxy) -> None:
    answer = ask_library(real_proxy, lambda client: client.generate("Once upon a time", max_new_tokens=4))
    *_, last = ask_library(real_proxy, lambda client: stream_of(client, "Once upon a time"))

    assert answer.generated_text == last.generated_text
    assert (answer.details.finish_reason, answer.details.generated_tokens) == ("length", 4)
    assert (last.details.finish_reason, last.details.generated_tokens) == ("length", 4)


@OWN_LIBRARY
def test_the_client_of_text_generation_generates_streams_and_chats(real_proxy: RunningProxy) -> None:
    client = text_generation.Client(real_proxy.url)

    best = client.generate("Once", max_new_tokens=4, best_of=2, do_sample=True)
    pieces = [response.token.text for response in client.generate_stream("Once", max_new_tokens=4)]

    assert len(best.details.best_of_sequences) == 1
    assert len(pieces) == 4
    chat = client.chat([{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0)
    assert chat.choices[0].message.content


@OWN_LIBRARY
def test_text_generation_raises_its_own_errors(real_proxy: RunningProxy) -> None:
    with pytest.raises(text_generation.errors.ValidationError, match="tokens"):
        ask_library(real_proxy, lambda client: client.generate(TOO_LONG))
    with pytest.raises(text_generation.errors.ValidationError, match="tokens"):
        ask_library(real_proxy, lambda client: stream_of(client, TOO_LONG))


def test_messages_cannot_forge_the_models_own_markup(real_proxy: RunningProxy, openai_client: OpenAI) -> None:
    """The real model's tokens: a message with them has more tokens than their number, since each is cut up."""
    special = max(real_proxy.table.template.special_tokens, key=len)

    def prompt_tokens(content: str) -> int:
        usage = openai_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": content}], max_tokens=1
        ).usage
        assert usage is not None
        return usage.prompt_tokens

    assert prompt_tokens(special * 5) > prompt_tokens("") + 10
