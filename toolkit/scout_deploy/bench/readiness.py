"""Whether an API can be measured, asked before two minutes are spent on it."""

import http.client
import ssl

from scout_deploy.api_client import ApiAnswer, ApiClient
from scout_deploy.errors import RequestFailedError

_TIMEOUT_S = 60.0
_PROMPT = "1 2 3"


def check_ready(client: ApiClient, *, deployment: str | None, key_variable: str) -> None:
    """Let the API generate one token.

    Raises:
        RequestFailedError: It does not; says what to do.
    """
    status = "scout-deploy status" + ("" if deployment is None else f" {deployment}")
    try:
        answer = client.ask("/generate", body={"prompt": _PROMPT, "max_length": 1}, timeout_s=_TIMEOUT_S)
    except (OSError, http.client.HTTPException) as exc:
        reason = str(exc) or type(exc).__name__
        start = "check --url" if deployment is None else f"{status}, or scout-deploy up"
        raise RequestFailedError(
            f"nobody answers at {client.url}: {reason}", next_step=_tls_step(exc) or start
        ) from exc
    except ValueError as exc:
        raise RequestFailedError(str(exc), next_step="give --url as in http://127.0.0.1:2025") from exc
    if answer.status != http.client.OK:
        raise RequestFailedError(
            f"{client.url} cannot be measured: it answers {answer.status}: {answer.detail}",
            next_step=_next_step(answer, status, key_variable),
        )


def serving_facts(client: ApiClient) -> tuple[str | None, str | None]:
    """Return the model and the engine (with its version) that /status names; None where it says nothing of them."""
    try:
        body = client.ask("/status", timeout_s=_TIMEOUT_S).body
    except (OSError, http.client.HTTPException):
        return None, None
    match body:
        case {"serving": {"model_id": str() as model, "engine": str() as engine, **rest}}:
            version = rest.get("engine_version")
            return model, f"{engine} {version}" if version else engine
    return None, None


def _tls_step(exc: Exception) -> str | None:
    match exc:
        case ssl.SSLCertVerificationError():
            return "let this machine trust its certificate: SSL_CERT_FILE names a file of authorities"
        case ssl.SSLError():
            return "where that API does not speak TLS, give --url with http instead of https"
    return None


def _next_step(answer: ApiAnswer, status: str, key_variable: str) -> str:
    match answer.status:
        case http.client.SERVICE_UNAVAILABLE:
            return f"wait until it is ready ({status} shows how far it is), then measure"
        case http.client.UNAUTHORIZED:
            return f"set {key_variable} to an API key of that service"
        case http.client.NOT_FOUND | http.client.METHOD_NOT_ALLOWED:
            return "give --url the base address of an API that has POST /generate, without a path"
    return status
