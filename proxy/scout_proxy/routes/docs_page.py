"""The page at /docs: the OpenAPI document as plain HTML. It loads nothing, so it also shows without the internet."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-top:1px solid #d0d7de;padding-top:1.5rem}code,pre{font-family:ui-monospace,monospace}
pre{background:#f3f5f7;padding:.8rem;overflow:auto;border-radius:6px}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;
border-bottom:1px solid #d0d7de}.m{background:#0b5cad;color:#fff;border-radius:4px;padding:.1rem .5rem;font-size:.9em}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dde3ea}pre{background:#20262d}}
"""

Document = dict[str, Any]


def render_docs(document: Document) -> str:
    """Return the whole page."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        *(f"<p>{escape(paragraph)}</p>" for paragraph in info["description"].split("\n\n")),
        "<p>The same for programs: <a href=openapi.json>openapi.json</a></p>",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.extend(_operation(document, path, method, operation))
    return "".join([*parts, "</body></html>"])


def _operation(document: Document, path: str, method: str, operation: Document) -> Iterator[str]:
    yield f"<h2><span class=m>{escape(method.upper())}</span> <code>{escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('summary', ''))}</p>"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        schema = _resolved(document, content["schema"])
        yield "<h3>Request</h3>"
        yield from _fields(schema)
        if "example" in schema:
            yield f"<pre>{_json(schema['example'])}</pre>"
    yield "<h3>Answers</h3>"
    yield from _answers(document, operation["responses"])


def _answers(document: Document, responses: Document) -> Iterator[str]:
    yield "<table><tr><th>Status<th>Meaning<th>Body<th>Headers</tr>"
    for status, response in responses.items():
        headers = ", ".join(response.get("headers", {}))
        bodies = "".join(f"<div>{_body(body)}</div>" for body in response.get("content", {}).values())
        yield f"<tr><td>{escape(status)}<td>{escape(response['description'])}<td>{bodies}<td>{escape(headers)}</tr>"
    yield "</table>"
    success = responses.get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if success:
        yield f"<h3>Body: <code>{escape(_type_name(success))}</code></h3>"
        yield from _fields(_resolved(document, success))


def _body(body: Document) -> str:
    if "example" in body:
        return f"<code>{_json(body['example'], indent=None)}</code>"
    schema = body.get("schema", {})
    return f"<code>{escape(_type_name(schema))}</code>"


def _fields(schema: Document) -> Iterator[str]:
    required = schema.get("required", [])
    yield "<table><tr><th>Field<th>Type<th>Default<th>Meaning</tr>"
    for name, field in schema.get("properties", {}).items():
        default = _json(field["default"], indent=None) if "default" in field else "required" if name in required else ""
        meaning = escape(field.get("description", ""))
        yield f"<tr><td><code>{escape(name)}</code><td>{escape(_type_name(field))}<td>{default}<td>{meaning}</tr>"
    yield "</table>"


def _type_name(schema: Document) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type_name(choice) for choice in schema["anyOf"])
    if "items" in schema:
        return f"list of {_type_name(schema['items'])}"
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("minLength", "length ≥"))
        if key in schema
    ]
    return " ".join([schema.get("type", "any"), ", ".join(limits)]).strip()


def _resolved(document: Document, schema: Document) -> Document:
    if "$ref" not in schema:
        return schema
    resolved: Document = document["components"]["schemas"][_type_name(schema)]
    return resolved


def _json(value: object, indent: int | None = 2) -> str:
    return escape(json.dumps(value, ensure_ascii=False, indent=indent))
