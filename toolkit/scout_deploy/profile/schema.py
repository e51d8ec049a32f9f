"""The JSON Schema of profiles, made from the model, and its parts in words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from scout_deploy.profile.profile import Profile

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REFERENCE: Schema = {
    "type": "string",
    "pattern": r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}",
    "description": "A value from the environment: `${env:NAME}` or `${env:NAME:-default}`.",
}
_EXTENDS: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "description": "The profile to start from, by name or path: mappings merge, everything else replaces, null sets a "
    "key back to its default.",
    "examples": ["a100-4bit"],
}
_NOTES = ("description", "default", "examples")


def profile_schema() -> Schema:
    """Return the schema of a profile's file (draft 2020-12).

    It takes what the loader takes: null (the default) and, where the value is not free text, a reference to a
    variable for every key; keys that begin with `x-` everywhere; a file without `engine` if it extends another.
    """
    raw = Profile.model_json_schema()
    _describe_sections(raw, raw["$defs"])
    definitions = {name: _object(schema) for name, schema in raw["$defs"].items()}
    root = _object(raw)
    return {
        "$schema": DIALECT,
        "title": "A profile of scout-deploy",
        "type": "object",
        "anyOf": [{"required": ["engine"]}, {"required": ["extends"]}],
        **{key: root[key] for key in ("patternProperties", "additionalProperties")},
        "properties": {"extends": _EXTENDS, **root["properties"]},
        "$defs": {**definitions, "Reference": _REFERENCE},
    }


def schema_text() -> str:
    """Return the schema as it is committed beside the profiles."""
    return json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"


def key_schemas() -> dict[tuple[str, ...], Schema]:
    """Return the model's own schema of every key, sections included, by key path."""
    raw = Profile.model_json_schema()
    return dict(_walk(raw, raw["$defs"], ()))


def expected_words(schema: Mapping[str, Any], *, plural: bool = False) -> str:
    """Say what values a key takes, from its schema in `key_schemas`."""
    alternatives = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    value = {**schema, **alternatives[0]}
    if "enum" in value or "const" in value:
        return " or ".join(map(str, value.get("enum", [value.get("const")])))
    kind = value.get("type")
    if kind in ("integer", "number"):
        noun = "whole number" if kind == "integer" else "number"
        return (f"{noun}s" if plural else f"a {noun}") + _range(value)
    if kind == "array":
        filled = "that is not empty, " if value.get("minItems") else ""
        return f"a list {filled}of {expected_words(value['items'], plural=True)}"
    if kind == "object":
        keys = ", ".join(value.get("properties", ()))
        return f"a mapping with the keys {keys}" if keys else "a mapping of names to texts"
    if kind == "boolean":
        return "true or false"
    return f"text such as {value['examples'][0]}" if "examples" in value and "pattern" in value else "text"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if low is not None:
        return f", {low} or more" if high is None else f" from {low} to {high}"
    if above is not None:
        return f" above {above}" + ("" if high is None else f", at most {high}")
    return ""


def _walk(schema: Schema, definitions: Schema, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema]]:
    for name, part in schema.get("properties", {}).items():
        target = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        whole = {**target, **part}
        yield (*key, name), whole
        yield from _walk(whole, definitions, (*key, name))


def _describe_sections(schema: Schema, definitions: Schema) -> None:
    """Put back what pydantic leaves out, depending on its version: a description that repeats the section's own."""
    for part in (part for one in (schema, *definitions.values()) for part in one["properties"].values()):
        if "$ref" in part:
            part.setdefault("description", _summary(definitions[part["$ref"].rpartition("/")[2]]))


def _summary(schema: Schema) -> str:
    return str(schema["description"]).partition("\n\n")[0].replace("\n", " ")


def _object(schema: Schema) -> Schema:
    """Turn the model's schema of a section into the file's."""
    result: Schema = {"type": "object"}
    if "description" in schema:
        result["description"] = _summary(schema)
    result["properties"] = {name: _key(part) for name, part in schema["properties"].items()}
    result["patternProperties"] = {"^x-": True}
    result["additionalProperties"] = False
    return result


def _key(part: Schema) -> Schema:
    notes = {note: part[note] for note in _NOTES if note in part and part[note] is not None and "$ref" not in part}
    if "$ref" in part:
        return {"description": part["description"], "anyOf": [{"$ref": part["$ref"]}, {"type": "null"}]}
    alternatives = part.get("anyOf", [part])
    values = [_value(one) for one in alternatives if one.get("type") != "null"]
    references = [{"$ref": "#/$defs/Reference"}] if any(not _is_free_text(value) for value in values) else []
    return {**notes, "anyOf": [*values, *references, {"type": "null"}]}


def _value(schema: Schema) -> Schema:
    value = {name: content for name, content in schema.items() if name not in (*_NOTES, "title", "anyOf")}
    if value.get("type") == "array":
        value["items"] = {"anyOf": [_value(value["items"]), {"$ref": "#/$defs/Reference"}]}
    if value.get("type") == "object":
        value["patternProperties"] = {
            **{pattern: {"type": ["string", "null"]} for pattern in _key_patterns(value)},
            "^x-": True,
        }
        value["additionalProperties"] = False
        value.pop("propertyNames", None)
    return value


def _key_patterns(schema: Schema) -> Sequence[str]:
    return tuple(schema.get("patternProperties", {})) or (schema.get("propertyNames", {}).get("pattern", ""),)


def _is_free_text(schema: Schema) -> bool:
    return schema.get("type") in ("string", "object") and "pattern" not in schema and "enum" not in schema
