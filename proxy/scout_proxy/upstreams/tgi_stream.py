"""TGI's events of one generation as pieces of text: whole characters, and in the end the engine's own whole text. Pure.

TGI's own server gives no text for a token that ends inside a character, and the whole character with the token that
completes it. Its other backends give U+FFFD for each such token. A U+FFFD at a token's end is therefore held back: the
next text follows it, and the whole text of the last event, where the character is right, replaces what is held.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from scout_proxy.errors import GenerationFailedError
from scout_proxy.upstreams.engine import Event, Generated, Pieces

_BROKEN = "\ufffd"
# As much as a whole answer may have; a token is a few characters, but nothing makes an engine keep to that.
_MAX_CHARS = 32 * 1024 * 1024


class PieceReader:
    """Reads one stream.

    Args:
        max_tokens: More than this is not what was asked for.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._given: list[str] = []
        self._chars = 0
        self._tokens = 0
        self._held = ""
        self.is_complete = False
        self.failure: GenerationFailedError | None = None

    def read(self, events: Iterable[Event]) -> Pieces:
        """Return the pieces of events that came together; what follows the last event is passed over.

        Pieces before an event that is wrong are given; `failure` says then what was wrong.
        """
        texts: list[str] = []
        generated: Generated | None = None
        try:
            for _, event in events:
                if self.is_complete:
                    break
                self._count_token()
                token = event["token"]
                texts.append(self._whole("" if token["special"] else token["text"]))
                if event["generated_text"] is not None:
                    generated = self._complete(texts, event)
        except (AttributeError, KeyError, TypeError):
            self.failure = GenerationFailedError("the engine's stream holds what is not a token")
        except GenerationFailedError as exc:
            self.failure = exc
        return Pieces(texts=tuple(texts), generated=generated)

    def _whole(self, text: str) -> str:
        """Return what can be told for certain of a token's text."""
        if self._held:
            text = self._held + text
            self._held = ""
        if text.endswith(_BROKEN):
            whole = text.rstrip(_BROKEN)
            self._held = text[len(whole) :]
            text = whole
        self._given.append(text)
        self._chars += len(text)
        if self._chars > _MAX_CHARS:
            raise GenerationFailedError(f"the engine's answer is larger than {_MAX_CHARS} characters")
        return text

    def _complete(self, texts: list[str], event: Mapping[str, Any]) -> Generated:
        """Add to the last piece what is missing of the engine's whole text.

        Where that is another text than its tokens', the tokens' counts, for it was told: TGI gives an empty text for a
        generation that ends inside a character.
        """
        given, whole = "".join(self._given), event["generated_text"]
        rest = whole[len(given) :] if whole.startswith(given) else self._held
        details = event.get("details") or {}
        generated = Generated(
            text=given + rest,
            prompt_tokens=_whole_number(details.get("input_length")),
            generated_tokens=_whole_number(details.get("generated_tokens")),
            finish_reason=_text(details.get("finish_reason")),
        )
        texts[-1] += rest
        self.is_complete = True
        return generated

    def _count_token(self) -> None:
        self._tokens += 1
        if self._tokens > self._max_tokens:
            raise GenerationFailedError(f"the engine goes on after the {self._max_tokens} tokens that were asked for")


def _whole_number(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
