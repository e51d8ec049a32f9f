"""The seeded plan of requests: number i of a seed is always the same request, whoever sends it and when."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Any

from scout_loadtest.workload.data_row import DataRow
from scout_loadtest.workload.kind import Kind
from scout_loadtest.workload.prose import compose
from scout_loadtest.workload.request import PlannedRequest

POPULAR_PROMPTS = 64
_ZIPF_EXPONENT = 1.0  # web pages, queries and prompts are all found near it
_LONGEST_SHARE = 0.1
_SEQUENCES = (2, 3, 4)
_JSON = {"Content-Type": "application/json"}
# What is meant to be generated is, in a second run of the same seed too, whose prompts are the same.
_FRESH = {**_JSON, "Cache-Control": "no-cache"}


class RequestPlan:
    """All requests of a load.

    Args:
        shares: Of each kind; together they are 1.
        rows: At least one.
    """

    def __init__(self, *, seed: int, shares: Mapping[Kind, float], rows: Sequence[DataRow]) -> None:
        self._seed = seed
        self._rows = tuple(rows)
        self._kinds = tuple(shares)
        self._kind_bounds = tuple(accumulate(shares.values()))
        weights = [1 / rank**_ZIPF_EXPONENT for rank in range(1, POPULAR_PROMPTS + 1)]
        self._popularity = tuple(accumulate(weight / sum(weights) for weight in weights))
        self._long_prompts = _longest(self._rows, [row.input_tokens for row in self._rows])
        self._long_answers = _longest(self._rows, [row.output_tokens for row in self._rows])

    def request(self, index: int) -> PlannedRequest:
        """Return number `index`, from 0 on."""
        random = Random(f"{self._seed}/{index}")
        kind = self._kinds[_drawn(self._kind_bounds, random)]
        mark = f"{self._seed}/{index}"
        if kind is Kind.REPEATED:
            rank = _drawn(self._popularity, random)
            mark = f"{self._seed}/popular/{rank}"
            random = Random(mark)
        row = random.choice(self._rows_of(kind))
        prompt = row.prompt if row.prompt is not None else _prompt(mark, row.input_tokens, random)
        sequences = random.choice(_SEQUENCES) if kind is Kind.SEQUENCES else 1
        return PlannedRequest(
            index=index,
            kind=kind,
            path="/v1/chat/completions" if kind is Kind.CHAT else "/generate",
            headers=_JSON if kind is Kind.REPEATED else _FRESH,
            body=json.dumps(_body(kind, prompt, row.output_tokens, sequences)).encode("ascii"),
            sequences=sequences,
        )

    def _rows_of(self, kind: Kind) -> Sequence[DataRow]:
        return {Kind.LONG_PROMPT: self._long_prompts, Kind.LONG_ANSWER: self._long_answers}.get(kind, self._rows)


def _longest(rows: Sequence[DataRow], lengths: Sequence[int]) -> tuple[DataRow, ...]:
    count = max(1, round(len(rows) * _LONGEST_SHARE))
    order = sorted(range(len(rows)), key=lambda place: (-lengths[place], place))
    return tuple(rows[place] for place in order[:count])


def _drawn(bounds: Sequence[float], random: Random) -> int:
    # The last bound is 1 but for rounding.
    return min(bisect_right(bounds, random.random()), len(bounds) - 1)


def _prompt(mark: str, tokens: int, random: Random) -> str:
    # The mark comes first, so that no engine has the beginning of the prompt in its prefix cache.
    return f"[{mark}] Go on with this text: {compose(random, tokens)}"


def _body(kind: Kind, prompt: str, tokens: int, sequences: int) -> dict[str, Any]:
    if kind is Kind.CHAT:
        # "tgi" is taken whatever the model's name is.
        messages = [{"role": "user", "content": prompt}]
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return {"model": "tgi", "messages": messages, "max_tokens": tokens, "temperature": 0.7, **options}
    body: dict[str, Any] = {"prompt": prompt, "max_length": tokens}
    if kind is Kind.SEQUENCES:
        body["num_return_sequences"] = sequences
    if kind.is_streamed:
        body["stream"] = True
    return body
