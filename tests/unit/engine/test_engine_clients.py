"""The official clients against a real engine."""

import asyncio

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import ValidationError as HubValidationError
from text_generation import AsyncClient, Client
from text_generation.errors import ValidationError

# text_generation 0.7 is written for pydantic 1, whose names pydantic 2 still has.
pytestmark = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")

PROMPT = "Once upon a time"
# Of their own they wait for ten seconds, which a busy machine may need.
TIMEOUT_S = 120


def test_text_generation_client(url: str) -> None:
    client = Client(url, timeout=TIMEOUT_S)

    answer = client.generate(PROMPT, max_new_tokens=8, do_sample=True, seed=1, best_of=None, top_n_tokens=2)
    pieces = list(client.generate_stream(PROMPT, max_new_tokens=8, do_sample=True, seed=1))

    assert answer.details is not None
    assert answer.details.generated_tokens == len(answer.details.tokens) <= 8
    assert [token.text for token in answer.details.tokens] == [piece.token.text for piece in pieces]
    assert pieces[-1].generated_text == answer.generated_text


def test_text_generation_client_with_best_of(url: str) -> None:
    answer = Client(url, timeout=TIMEOUT_S).generate(PROMPT, max_new_tokens=8, do_sample=True, best_of=2)

    assert answer.details is not None
    assert answer.details.best_of_sequences is not None
    assert len(answer.details.best_of_sequences) == 1


def test_text_generation_async_client_in_parallel(url: str) -> None:
    async def ask() -> list[str]:
        client = AsyncClient(url, timeout=TIMEOUT_S)
        answers = await asyncio.gather(*(client.generate(PROMPT, max_new_tokens=5, seed=n) for n in range(12)))
        return [answer.generated_text for answer in answers]

    assert len(asyncio.run(ask())) == 12


def test_text_generation_errors_are_raised_by_name(url: str) -> None:
    with pytest.raises(ValidationError, match="`max_new_tokens` must be strictly positive"):
        Client(url, timeout=TIMEOUT_S).generate(PROMPT, max_new_tokens=0)
    with pytest.raises(ValidationError, match="`max_new_tokens` must be strictly positive"):
        list(Client(url, timeout=TIMEOUT_S).generate_stream(PROMPT, max_new_tokens=0))


def test_inference_client_text_generation(url: str) -> None:
    client = InferenceClient(url)

    whole = client.text_generation(PROMPT, max_new_tokens=8, return_full_text=False)
    pieces = list(client.text_generation(PROMPT, max_new_tokens=8, stream=True))
    told = client.text_generation(PROMPT, max_new_tokens=8, details=True, return_full_text=False)

    assert "".join(pieces) == whole
    assert told.generated_text == whole
    assert told.details is not None
    assert told.details.generated_tokens == len(told.details.tokens) <= 8


def test_inference_client_chat_completion(url: str) -> None:
    client = InferenceClient(url)
    messages = [{"role": "user", "content": "你是谁？"}]

    whole = client.chat_completion(messages, max_tokens=16, temperature=0.0, logprobs=True)
    pieces = client.chat_completion(messages, max_tokens=16, temperature=0.0, stream=True)

    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert whole.usage.completion_tokens <= 16


def test_inference_client_errors_are_raised_by_name(url: str) -> None:
    with pytest.raises(HubValidationError, match="`temperature` must be strictly positive"):
        InferenceClient(url).text_generation(PROMPT, temperature=-1.0)
