"""`scout-deploy generate`: one documented request, from the command line."""

import http.client
from collections.abc import Mapping
from typing import Annotated

import typer

from scout_deploy.api_client import ApiAnswer, call_api
from scout_deploy.cli.context import MAX_TIMEOUT_S, choose_deployment, process_runtime
from scout_deploy.cli.output import Output
from scout_deploy.errors import DeploymentNotFoundError, RequestFailedError

_DEFAULT_URL = "http://127.0.0.1:2025"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)


def generate(
    prompt: Annotated[str, typer.Argument(help="What to answer.")],
    *,
    url: Annotated[
        str | None, typer.Option(help="Base address of the API; without it the running deployment's.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The deployment to ask, where there are several.")] = None,
    max_length: Annotated[int | None, typer.Option(help="The most tokens to generate.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling; 1 is off.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Sample among the k likeliest; 0 is off.")] = None,
    num_sequences: Annotated[int | None, typer.Option(help="How many answers.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=MAX_TIMEOUT_S, help="Seconds to wait.")] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer as it came.")] = False,
) -> None:
    """Ask the API to generate, and print the answer."""
    output = Output(as_json=as_json)
    base = url or _deployment_url(name)
    fields = {
        "max_length": max_length,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "num_return_sequences": num_sequences,
    }
    body = {"prompt": prompt, **{key: value for key, value in fields.items() if value is not None}}
    answer = _call(base, body, timeout)
    texts = _texts(base, answer)
    output.document(answer.body)
    for number, text in enumerate(texts):
        if number:
            output.line("---", style="dim")
        output.line(text)


def _deployment_url(name: str | None) -> str:
    runtime = process_runtime()
    try:
        return runtime.observe(choose_deployment(runtime, name)).spec.url
    except DeploymentNotFoundError:
        if name is not None or runtime.names():
            raise
        return _DEFAULT_URL


def _call(url: str, body: Mapping[str, object], timeout_s: float) -> ApiAnswer:
    try:
        return call_api(url, "/generate", body=body, timeout_s=timeout_s)
    except (OSError, http.client.HTTPException) as exc:
        raise RequestFailedError(
            f"no answer from {url}: {str(exc) or type(exc).__name__}",
            next_step="scout-deploy status, or scout-deploy up",
        ) from exc
    except ValueError as exc:
        raise RequestFailedError(str(exc), next_step="give --url as in http://127.0.0.1:2025") from exc


def _texts(url: str, answer: ApiAnswer) -> list[str]:
    if answer.status != http.client.OK:
        hint = "scout-deploy status" if answer.status == http.client.SERVICE_UNAVAILABLE else None
        raise RequestFailedError(f"{url} answered with {answer.status}: {answer.detail}", next_step=hint)
    match answer.body:
        case {"generated_texts": list() as texts}:
            return texts
    raise RequestFailedError(f"{url} is not this API: its answer has no generated_texts")
