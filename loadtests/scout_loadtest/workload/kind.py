"""The kinds of requests, and how they are mixed."""

from collections.abc import Mapping
from enum import StrEnum

from scout_loadtest.errors import InputError


class Kind(StrEnum):
    """One way in which the API is used."""

    UNIQUE = "unique"  # /generate, a new prompt each: the cache never helps
    REPEATED = "repeated"  # /generate, few prompts, some of them much more popular: what the cache is for
    STREAMED = "streamed"  # /generate with `stream`
    LONG_PROMPT = "long_prompt"  # streamed; the longest tenth of the prompts
    LONG_ANSWER = "long_answer"  # streamed; the longest tenth of the answers
    SEQUENCES = "sequences"  # /generate, several texts for each prompt
    CHAT = "chat"  # /v1/chat/completions, streamed, with usage

    @property
    def is_streamed(self) -> bool:
        """Whether its answer comes piece by piece."""
        return self not in {Kind.UNIQUE, Kind.REPEATED, Kind.SEQUENCES}


# `mixed`: people at a chat page and at the documented API, some with documents, and a few programs.
MIXED: Mapping[Kind, float] = {
    Kind.STREAMED: 25,
    Kind.CHAT: 25,
    Kind.REPEATED: 20,
    Kind.UNIQUE: 15,
    Kind.LONG_PROMPT: 6,
    Kind.LONG_ANSWER: 6,
    Kind.SEQUENCES: 3,
}
_MIXED_NAME = "mixed"
KIND_NAMES = (*Kind, _MIXED_NAME)


def read_mix(mix: Mapping[str, float]) -> dict[Kind, float]:
    """Return the share of each kind; together they are 1.

    Args:
        mix: Weights by name; `mixed` stands for its own mixture.

    Raises:
        InputError: A kind that is not known, or weights that are none.
    """
    shares = dict.fromkeys(Kind, 0.0)
    for name, weight in mix.items():
        if name not in KIND_NAMES:
            raise InputError(f"{name!r} is no kind of requests", f"the kinds are {', '.join(KIND_NAMES)}")
        if not 0 <= weight < float("inf"):
            raise InputError(f"{weight} is no weight for {name}", "give a number of 0 or more")
        for kind, share in (MIXED if name == _MIXED_NAME else {Kind(name): 1.0}).items():
            shares[kind] += weight * share / (sum(MIXED.values()) if name == _MIXED_NAME else 1)
    total = sum(shares.values())
    if not total:
        raise InputError("the mix of requests is empty", f"give a weight to one of {', '.join(KIND_NAMES)}")
    return {kind: share / total for kind, share in shares.items() if share}
