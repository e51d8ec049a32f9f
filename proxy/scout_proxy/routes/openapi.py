"""What FastAPI cannot derive of the OpenAPI document: error answers, headers, the body that is read by hand."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from scout_proxy.access.open_paths import needs_key
from scout_proxy.errors import NOT_LOADED
from scout_proxy.generate.contract import GenerateRequest, InvalidRequest, Problem
from scout_proxy.http.request_id import HEADER
from scout_proxy.native.request import NativeRequest
from scout_proxy.openai.requests import ANY_MODEL, ChatRequest, CompletionRequest
from scout_proxy.route_table import Keys, RouteTable

Responses = dict[int | str, dict[str, Any]]

_FORWARDED: tuple[type[BaseModel], ...] = (NativeRequest, ChatRequest, CompletionRequest)

_DESCRIPTION = """Text generation by one large language model, as documented, whatever engine serves it.

Every answer carries X-Request-ID: the request's own where it sent a sane one, else a new one."""

_ID_HEADER = {HEADER: {"description": "The request's id", "schema": {"type": "string"}, "required": True}}
_RETRY_HEADER = {
    "Retry-After": {
        "description": "Seconds after which to ask again",
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
    }
}

_BEARER_HEADER = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}, "required": True}}
_ENCODING_HEADERS = {**_ID_HEADER, "Accept-Encoding": {"schema": {"type": "string"}, "required": True}}
_CACHE_HEADERS = {
    "X-Cache": {
        "description": "What the response cache did for this request",
        "schema": {"type": "string", "enum": ["HIT", "MISS", "BYPASS", "COALESCED"]},
        "required": True,
    },
    "Age": {
        "description": "Seconds since a stored answer was generated",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Server-Timing": {
        "description": "How long the request waited for a place at an engine, in milliseconds",
        "schema": {"type": "string"},
    },
    "X-Generated-Tokens": {
        "description": "Tokens that the engine generated for this request, of all its texts; not of a stream",
        "schema": {"type": "integer", "minimum": 1},
    },
}

OK_HEADERS: Responses = {200: {"description": "Success", "headers": _ID_HEADER}}

# Of each event of a stream, not of the whole.
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["message", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["data"],
}

GENERATE_HEADERS: Responses = {
    200: {
        "description": "The texts; with `stream`, events: one for each piece, at the end `done` with the whole answer",
        "headers": {**_ID_HEADER, **_CACHE_HEADERS},
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}

_KEY_SCHEME = "bearer"
_SCHEMAS = "#/components/schemas/{model}"


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return what a route declares of a body that it reads by itself; `describe` puts the model in."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=model.__name__)}}},
        },
        "parameters": [
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "An id of your own for this request; up to 128 letters, digits and ._:=+/@-",
                "schema": {"type": "string"},
            }
        ],
    }


GENERATE_BODY = request_body(GenerateRequest)


def event_content(description: str) -> dict[str, Any]:
    """Return what a route declares of an answer that is a stream of events, whose schema is that of one event."""
    return {"text/event-stream": {"schema": {**_EVENT, "description": description}}}


def error_answers(*statuses: int) -> Responses:
    """Return the answers that these statuses have on every route."""
    retry = {**_ID_HEADER, **_RETRY_HEADER}
    known: Responses = {
        401: _answer(
            "API keys are set, and the request carries none that is known",
            "An API key is needed; send it as `Authorization: Bearer <key>`",
            {**_ID_HEADER, **_BEARER_HEADER},
        ),
        408: _answer("The body did not arrive in time", "The request body did not arrive within 30 s"),
        413: _answer("The body is too large", "Request body larger than the limit of 2000000 bytes"),
        415: _answer("The body is compressed", "Bodies with Content-Encoding 'gzip' are not read", _ENCODING_HEADERS),
        422: {
            "description": "The request is not valid, or the prompt leaves no room to generate",
            "model": InvalidRequest,
            "headers": _ID_HEADER,
        },
        429: _answer("The engine is at its limit of requests", "Too many requests: try again later", retry),
        500: _answer("The engine failed while generating", "Generation failed: [error message]"),
        503: _answer("The model is being loaded, or is lost", NOT_LOADED, retry),
        504: _answer("The deadline passed", "The deadline of 600 s passed before the generation was finished"),
    }
    return {status: known[status] for status in statuses}


def refusals(model: type[BaseModel], *statuses: int) -> Responses:
    """Return the answers that these statuses have on every route of a family whose errors have another body."""
    own: Responses = {
        400: {"description": "The request is not valid, or asks for what the engine has not", "headers": _ID_HEADER},
        404: {"description": "The model is not served here", "headers": _ID_HEADER},
        424: {"description": "The engine failed while generating", "headers": _ID_HEADER},
    }
    return {
        status: {
            name: value
            for name, value in (own[status] if status in own else error_answers(status)[status]).items()
            if name != "content"
        }
        | {"model": model}
        for status in statuses
    }


def _answer(description: str, detail: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "model": Problem,
        "headers": headers or _ID_HEADER,
        "content": {"application/json": {"example": {"detail": detail}}},
    }


def describe(app: FastAPI, table: RouteTable, *, most_stops: int | None) -> dict[str, Any]:
    """Build the document; what the profile and the engines limit is stated as it is now."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    request = GenerateRequest.model_json_schema(ref_template=_SCHEMAS)
    sequences = request["properties"]["num_return_sequences"]["anyOf"][0]
    sequences["maximum"] = table.limits.max_num_return_sequences
    if most_stops is not None:
        request["properties"]["stop"]["anyOf"][0]["maxItems"] = most_stops
    schemas = document["components"]["schemas"]
    schemas["GenerateRequest"] = request
    for model in _FORWARDED:
        schema = model.model_json_schema(ref_template=_SCHEMAS)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for model in (ChatRequest, CompletionRequest):
        properties = schemas[model.__name__]["properties"]
        properties["model"]["anyOf"][0]["enum"] = [table.identity.model, table.serving.model_id, *ANY_MODEL]
        properties["n"]["anyOf"][0]["maximum"] = table.limits.max_num_return_sequences
    # Choices are counted over all prompts.
    schemas["CompletionRequest"]["properties"]["prompt"]["anyOf"][1]["maxItems"] = 1
    if table.keys is not None:
        _declare_keys(document, table.keys)
    return document


def _declare_keys(document: dict[str, Any], keys: Keys) -> None:
    document["components"]["securitySchemes"] = {_KEY_SCHEME: {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if needs_key(method.upper(), path, keys):
                operation["security"] = [{_KEY_SCHEME: []}]
