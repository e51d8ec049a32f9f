"""Constrain answers with a JSON Schema: what TGI's means, in what llama.cpp understands, and proof that it did.

llama.cpp's package compiles schemas with llguidance. One that it cannot compile it drops with a word on stderr, and
generates unconstrained. So each new schema is probed: one token is generated while a token that no JSON object begins
with is pushed to the top. Only a schema that is in force keeps it out.
"""

import json
from collections.abc import Mapping

from scout_engine.vocabulary import Vocabulary

# JSON Schema's keywords whose value is a schema, a list of schemas, a map of schemas. `allOf` is left alone: its parts
# add up.
_ONE = ("items", "additionalItems", "contains")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")
_PUSH = 1000.0


def constraint(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the schema to give to llama.cpp.

    As with TGI's compiler (outlines), objects have the named properties only, and no white space runs on without end.
    """
    return {"type": "object", **_closed(schema), "x-guidance": {"whitespace_flexible": False}}


def _closed(schema: object) -> dict[str, object]:
    """Forbid further properties wherever properties are named and nothing is said of others."""
    if not isinstance(schema, Mapping):
        return {}
    closed = dict(schema)
    if isinstance(closed.get("properties"), Mapping):
        closed.setdefault("additionalProperties", False)
    for name, value in schema.items():
        if name in _ONE and isinstance(value, Mapping):
            closed[name] = _closed(value)
        elif name in _LISTS and isinstance(value, list):
            closed[name] = [_closed(one) if isinstance(one, Mapping) else one for one in value]
        elif name in _MAPS and isinstance(value, Mapping):
            closed[name] = {key: _closed(one) if isinstance(one, Mapping) else one for key, one in value.items()}
    return closed


class GrammarProbe:
    """The question whether llama.cpp follows a schema, and its answer."""

    def __init__(self, schema: Mapping[str, object], vocabulary: Vocabulary) -> None:
        self._schema = schema
        self._foreign = vocabulary.ids.get(b"a", vocabulary.filler)

    @property
    def key(self) -> str:
        """The schema's canonical text."""
        return json.dumps(self._schema, sort_keys=True)

    def body(self) -> dict[str, object]:
        """The request to llama.cpp's /completion."""
        return {
            "prompt": [self._foreign],
            "n_predict": 1,
            "temperature": 0.0,
            "json_schema": self._schema,
            "logit_bias": [[self._foreign, _PUSH]],
            "return_tokens": True,
            "cache_prompt": False,
        }

    def is_followed(self, answer: Mapping[str, object]) -> bool:
        """Whether the schema kept the foreign token out."""
        return answer.get("tokens") != [self._foreign]
