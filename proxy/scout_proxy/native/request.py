"""The body of TGI's native routes: its form is checked here, what it asks for is checked by the engine."""

from math import isfinite
from typing import Any

from pydantic import BaseModel, Field
from pydantic_core import from_json

from scout_proxy.errors import InvalidRequestError


class NativeRequest(BaseModel):
    """Body of the native routes. The engine takes more than is named here."""

    inputs: str = Field(min_length=1, description="The text to continue, as it goes to the model.")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="TGI's own, such as max_new_tokens, do_sample, temperature, top_p, top_k, seed, stop, details.",
    )
    stream: bool = Field(default=False, description="On `POST /`: the answer is a stream of events.")


def parse_native_request(body: bytes) -> dict[str, Any]:
    """Return the body if it has the form of a request.

    Raises:
        InvalidRequestError: It has not.
    """
    try:
        request = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise InvalidRequestError.of("json_invalid", f"Invalid JSON: {exc}") from exc
    if not isinstance(request, dict):
        raise InvalidRequestError.of("dict_type", "The body should be a JSON object with `inputs`")
    inputs = request.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise InvalidRequestError.of("string_type", "`inputs` should be a text that is not empty", field="inputs")
    parameters = request.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequestError.of("dict_type", "`parameters` should be an object", field="parameters")
    for name, value in parameters.items():
        if isinstance(value, float) and not isfinite(value):
            raise InvalidRequestError.of("finite_number", f"`{name}` should be a finite number", field="parameters")
    if not isinstance(request.get("stream", False), bool):
        raise InvalidRequestError.of("bool_type", "`stream` should be true or false", field="stream")
    return request
