"""Turn llama.cpp's stream of events into TGI's tokens."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from scout_engine.llama_client import CompletionEvent, SampledProbability
from scout_engine.stopping import StopMatcher
from scout_engine.vocabulary import Vocabulary

FinishReason = Literal["length", "eos_token", "stop_sequence"]


class Token(NamedTuple):
    """One generated token.

    `logprob` is the model's own, before temperature and the other warpers. It is None for a token that ends inside a
    character: llama.cpp reports only the token that completes one.
    """

    id: int
    text: str
    logprob: float | None
    special: bool
    top: Sequence["Token"] = ()


class TokenReader:
    """Read one generation, event by event.

    The last token is known when it arrives: by its number, by a stop string, or, for a special token, by the event
    after it.
    """

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str], limit: int, top_n: int) -> None:
        self._vocabulary = vocabulary
        self._stop = StopMatcher(stops)
        self._limit = limit
        self._top_n = top_n
        self._held: Token | None = None
        self._texts: list[str] = []
        self.count = 0
        self.finish_reason: FinishReason | None = None

    @property
    def text(self) -> str:
        """What was generated, special tokens left out, stop strings kept."""
        return "".join(self._texts)

    def read(self, event: CompletionEvent) -> list[Token]:
        """Return the tokens that `event` completes; `finish_reason` is set with the last one."""
        tokens = [] if self._held is None else [self._held]
        self._held = None
        if event.get("stop") is not False:
            return self._read_end(event, tokens)
        arrived = self._tokens_of(event)
        self.count += len(arrived)
        tokens += arrived
        last = arrived[-1]
        if not last.special:
            self._texts.append(last.text)
        if self.count >= self._limit:
            self.finish_reason = "length"
        elif last.special:
            self._held = tokens.pop()
        elif self._stop.ends_with_stop(last.text):
            self.finish_reason = "stop_sequence"
        return tokens

    def _read_end(self, event: CompletionEvent, tokens: list[Token]) -> list[Token]:
        """The generation is over: by a held special token, or inside a character whose tokens nobody names."""
        self.finish_reason = "eos_token" if event.get("stop_type") == "eos" else "length"
        missing = event.get("tokens_predicted", self.count) - self.count
        self.count += missing
        return tokens + [self._unnamed()] * max(missing, 0 if tokens else 1)

    def _tokens_of(self, event: CompletionEvent) -> list[Token]:
        token, text = event["tokens"][-1], event["content"]
        logprob, top = self._probabilities(event)
        special = token in self._vocabulary.special
        named = Token(token, self._vocabulary.text(token) if special else text, logprob, special, top)
        hidden = event["tokens_predicted"] - self.count - 1
        return [named] if hidden <= 0 else [*self._hidden_tokens(text, token, hidden), named]

    def _hidden_tokens(self, text: str, last: int, count: int) -> list[Token]:
        split = self._vocabulary.split(text.encode(), last, count + 1)
        if split is None:
            return [self._unnamed()] * count
        return [Token(token, "", None, special=False) for token in split[:-1]]

    def _unnamed(self) -> Token:
        return Token(self._vocabulary.filler, "", None, special=True)

    def _probabilities(self, event: CompletionEvent) -> tuple[float | None, Sequence[Token]]:
        probabilities = event.get("completion_probabilities")
        if not probabilities:
            return None, ()
        sampled = probabilities[0]
        return sampled["logprob"], self._top_tokens(sampled) if self._top_n else ()

    def _top_tokens(self, sampled: SampledProbability) -> Sequence[Token]:
        vocabulary = self._vocabulary
        return tuple(
            Token(one["id"], vocabulary.text(one["id"]), one["logprob"], one["id"] in vocabulary.special)
            for one in sampled["top_logprobs"][: self._top_n]
        )
