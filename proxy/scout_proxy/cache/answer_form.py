r"""The bytes that a shared store keeps for one request: a version, then one line for each of its answers.

    scout-answers/1\n
    <digest of the texts> {"at":1764207512.125,"took":0.84,"texts":["..."]}\n

JSON never holds a raw line end, so a line is an answer. The digest lets whoever adds a line see without reading JSON
that the same texts are there already. Anything of another form is foreign and never more than a miss. Pure.
"""

import hashlib
import math
from dataclasses import dataclass

from pydantic_core import PydanticSerializationError, from_json, to_json

from scout_proxy.cache.stored_answers import StoredAnswer

HEAD = b"scout-answers/1\n"
DIGEST_CHARS = 32
MAX_VALUE_BYTES = 1_048_576
"""Of all answers to one request together. Some 200,000 words; reading it takes a local network 10 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadAnswers:
    """What a value held: our answers, oldest first, and how much in it was not ours."""

    answers: tuple[StoredAnswer, ...] = ()
    foreign: int = 0


def write_line(answer: StoredAnswer) -> bytes | None:
    """Return one answer's line without its end; None where its texts cannot be written, which has lone surrogates."""
    try:
        texts = to_json(answer.texts)
    except PydanticSerializationError:
        return None
    digest = hashlib.blake2b(texts, digest_size=DIGEST_CHARS // 2).hexdigest().encode()
    stamps = b'"at":%.3f,"took":%.6f' % (answer.stored_at_s, answer.generation_s)
    return b'%b {%b,"texts":%b}' % (digest, stamps, texts)


def read_value(value: bytes) -> ReadAnswers:
    """Return what a value holds; an empty one holds nothing."""
    if not value:
        return ReadAnswers()
    if not value.startswith(HEAD) or not value.endswith(b"\n") or len(value) > MAX_VALUE_BYTES:
        return ReadAnswers(foreign=1)
    lines = value[len(HEAD) :].split(b"\n")[:-1]
    answers = [_read_line(line) for line in lines]
    return ReadAnswers(
        answers=tuple(answer for answer in answers if answer is not None),
        foreign=sum(answer is None for answer in answers),
    )


def _read_line(line: bytes) -> StoredAnswer | None:
    try:
        fields = from_json(line[DIGEST_CHARS + 1 :], allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    texts, stored_at_s, generation_s = fields.get("texts"), _seconds(fields.get("at")), _seconds(fields.get("took"))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    if stored_at_s is None or generation_s is None:
        return None
    return StoredAnswer(texts=tuple(texts), stored_at_s=stored_at_s, generation_s=generation_s)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
