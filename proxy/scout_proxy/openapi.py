"""What FastAPI cannot derive of the OpenAPI document: error answers, headers, the body that is read by hand."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from scout_proxy.contract import GenerateRequest, InvalidRequest, Problem
from scout_proxy.errors import NOT_LOADED
from scout_proxy.request_id import HEADER
from scout_proxy.route_table import Limits

Responses = dict[int | str, dict[str, Any]]

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

OK_HEADERS: Responses = {200: {"description": "Success", "headers": _ID_HEADER}}

GENERATE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/GenerateRequest"}}},
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


def error_answers(*statuses: int) -> Responses:
    """Return the answers that these statuses have on every route."""
    retry = {**_ID_HEADER, **_RETRY_HEADER}
    known: Responses = {
        408: _answer("The body did not arrive in time", "The request body did not arrive within 30 s"),
        413: _answer("The body is too large", "Request body larger than the limit of 2000000 bytes"),
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


def _answer(description: str, detail: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "description": description,
        "model": Problem,
        "headers": headers or _ID_HEADER,
        "content": {"application/json": {"example": {"detail": detail}}},
    }


def describe(app: FastAPI, limits: Limits) -> dict[str, Any]:
    """Build the document; what the profile limits is stated as it is now."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    request = GenerateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    sequences = request["properties"]["num_return_sequences"]["anyOf"][0]
    sequences["maximum"] = limits.max_num_return_sequences
    document["components"]["schemas"]["GenerateRequest"] = request
    return document
