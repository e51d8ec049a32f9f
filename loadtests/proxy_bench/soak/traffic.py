"""The requests of a soak: each kind asks once, and checks what it gets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp

_COMMON_PROMPTS = 50
_MOST_SEQUENCES = 4
_TOKENS = 20
_PATIENCE_S = 30.0
_LONGEST_STAY_S = 0.15
_HTTP_OK, _UNAUTHORIZED, _UNPROCESSABLE = 200, 401, 422


class UnexpectedError(Exception):
    """An answer that should not be; `cause` is short and the same for all of its kind."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Event:
    """A server-sent event."""

    name: str
    data: Any


class Traffic:
    """Asks one proxy, over one session.

    Args:
        key: Its API key.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._numbers = count()
        self.kinds: Mapping[str, tuple[Callable[[], Awaitable[None]], int]] = {
            "hits": (self.hit, 8),
            "misses": (self.miss, 8),
            "streams": (self.stream, 4),
            "repeated streams": (self.repeated_stream, 2),
            "several sequences": (self.sequences, 2),
            "streams of several sequences": (self.sequence_stream, 2),
            "leavers": (self.leave, 3),
            "leavers of streams": (self.leave_stream, 3),
            "coalesced": (self.coalesced, 1),
            "bad requests": (self.bad_request, 1),
            "without a key": (self.without_key, 1),
            "chat": (self.chat, 2),
            "chat streams": (self.chat_stream, 2),
            "native": (self.native, 1),
            "native streams": (self.native_stream, 1),
        }

    async def hit(self) -> None:
        """One of a few prompts."""
        await self._generate({"prompt": self._common()})

    async def miss(self) -> None:
        """A prompt that was never asked."""
        await self._generate({"prompt": self._new()})

    async def stream(self) -> None:
        """A new prompt, streamed."""
        await self._streamed({"prompt": self._new()})

    async def repeated_stream(self) -> None:
        """One of a few prompts, streamed: replayed from the cache."""
        await self._streamed({"prompt": self._common()})

    async def sequences(self) -> None:
        """Several sequences."""
        await self._generate({"prompt": self._new(), "num_return_sequences": random.randint(2, _MOST_SEQUENCES)})

    async def sequence_stream(self) -> None:
        """Several sequences, interleaved."""
        await self._streamed({"prompt": self._new(), "num_return_sequences": random.randint(2, _MOST_SEQUENCES)})

    async def leave(self) -> None:
        """Go away before the answer."""
        await self._leave(self._generate({"prompt": self._new()}))

    async def leave_stream(self) -> None:
        """Go away in the middle of a stream."""
        await self._leave(self._streamed({"prompt": self._new()}))

    async def coalesced(self) -> None:
        """Ask the same new prompt several times at once, streamed and not; the answers are the same."""
        body = {"prompt": self._new()}
        asks = [self._generate, self._streamed, self._streamed, self._generate]
        random.shuffle(asks)
        answers = await asyncio.gather(*(ask(body) for ask in asks))
        if any(answer != answers[0] for answer in answers):
            raise UnexpectedError("different answers to one request", str(answers))

    async def bad_request(self) -> None:
        """What is not a request is 422."""
        async with self._post("/generate", {"prompt": self._new(), "top_p": random.choice([2, "x", -1])}) as response:
            await _expect(response, _UNPROCESSABLE)

    async def without_key(self) -> None:
        """A wrong key is 401."""
        headers = {"Authorization": "Bearer wrong"}
        async with self._session.post(
            self._url + "/generate", json={"prompt": self._common()}, headers=headers, timeout=_timeout()
        ) as response:
            await _expect(response, _UNAUTHORIZED)

    async def chat(self) -> None:
        """OpenAI's chat completions."""
        async with self._post("/v1/chat/completions", self._chat_body()) as response:
            answer = json.loads(await _expect(response, _HTTP_OK))
        if not answer["choices"][0]["message"]["content"]:
            raise UnexpectedError("an empty chat answer", str(answer))

    async def chat_stream(self) -> None:
        """OpenAI's chat completions, streamed."""
        async with self._post("/v1/chat/completions", {**self._chat_body(), "stream": True}) as response:
            await _expect_stream(response)
            events = [event async for event in _events(response)]
        if events[-1].data != "[DONE]":
            raise UnexpectedError("a chat stream without its end", str(events[-1]))

    async def native(self) -> None:
        """TGI's own route."""
        body = {"inputs": self._new(), "parameters": {"max_new_tokens": _TOKENS, "details": True}}
        async with self._post("/", body) as response:
            answer = json.loads(await _expect(response, _HTTP_OK))
        if not answer[0]["generated_text"]:
            raise UnexpectedError("an empty native answer", str(answer))

    async def native_stream(self) -> None:
        """TGI's own stream."""
        body = {"inputs": self._new(), "parameters": {"max_new_tokens": _TOKENS}}
        async with self._post("/generate_stream", body) as response:
            await _expect_stream(response)
            events = [event async for event in _events(response)]
        pieces = "".join(event.data["token"]["text"] for event in events)
        if pieces != events[-1].data["generated_text"]:
            raise UnexpectedError("a native stream whose pieces are not its text", str(events[-1]))

    async def status(self) -> Mapping[str, Any]:
        """Return `/status`."""
        async with self._session.get(self._url + "/status", headers=self._headers, timeout=_timeout()) as response:
            status: Mapping[str, Any] = json.loads(await _expect(response, _HTTP_OK))
            return status

    async def metrics(self) -> None:
        """Scrape `/metrics`."""
        async with self._session.get(self._url + "/metrics", headers=self._headers, timeout=_timeout()) as response:
            await _expect(response, _HTTP_OK)

    async def _generate(self, body: Mapping[str, object]) -> list[str]:
        async with self._post("/generate", {"max_length": _TOKENS, **body}) as response:
            answer = json.loads(await _expect(response, _HTTP_OK))
        texts: list[str] = answer["generated_texts"]
        if len(texts) != body.get("num_return_sequences", 1) or not all(texts):
            raise UnexpectedError("texts that are missing or empty", str(answer))
        if answer["parameters"]["prompt"] != body["prompt"]:
            raise UnexpectedError("the answer to another request", str(answer))
        return texts

    async def _streamed(self, body: Mapping[str, object]) -> list[str]:
        async with self._post("/generate", {"max_length": _TOKENS, "stream": True, **body}) as response:
            await _expect_stream(response)
            events = [event async for event in _events(response)]
        if not events or events[-1].name != "done":
            raise UnexpectedError("a stream without its end", str(events[-1:]))
        texts: list[str] = events[-1].data["generated_texts"]
        pieces = [""] * len(texts)
        for event in events[:-1]:
            pieces[event.data["sequence"]] += event.data["text"]
        if pieces != texts or len(texts) != body.get("num_return_sequences", 1):
            raise UnexpectedError("a stream whose pieces are not its texts", f"{pieces} {texts}")
        return texts

    async def _leave(self, asking: Awaitable[object]) -> None:
        task = asyncio.ensure_future(asking)
        await asyncio.wait({task}, timeout=random.uniform(0, _LONGEST_STAY_S))
        task.cancel()
        # One that was answered in time, or was refused, has to be right all the same.
        for outcome in await asyncio.gather(task, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        return self._session.post(self._url + path, json=body, headers=self._headers, timeout=_timeout())

    def _chat_body(self) -> dict[str, object]:
        messages = [{"role": "user", "content": random.choice([self._new(), self._common()])}]
        return {"model": "fake/model", "messages": messages, "max_tokens": _TOKENS}

    def _new(self) -> str:
        return f"A question that nobody asked before, number {next(self._numbers)}"

    @staticmethod
    def _common() -> str:
        return f"A common question, number {random.randrange(_COMMON_PROMPTS)}"


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=_PATIENCE_S)


async def _expect(response: aiohttp.ClientResponse, status: int) -> str:
    text = await response.text()
    if response.status != status:
        raise UnexpectedError(f"status {response.status} instead of {status}", text)
    return text


async def _expect_stream(response: aiohttp.ClientResponse) -> None:
    if response.status != _HTTP_OK:
        raise UnexpectedError(f"status {response.status} instead of {_HTTP_OK}", await response.text())
    if response.content_type != "text/event-stream":
        raise UnexpectedError("not an event stream", str(response.headers))


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    name = "message"
    async for line in response.content:
        text = line.decode().rstrip("\r\n")
        field, _, value = text.partition(":")
        if field == "event":
            name = value.strip()
        elif field == "data":
            data = value.strip()
            yield Event(name=name, data=data if data == "[DONE]" else json.loads(data))
        elif not text:
            name = "message"
