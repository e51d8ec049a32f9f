"""`scout-deploy generate`: one documented request, from the command line."""

import http.client
from collections.abc import Mapping
from typing import Annotated

import typer

from scout_deploy.api_client import ApiAnswer, ApiClient
from scout_deploy.cli.api_target import DEFAULT_URL, KEY_VARIABLE, target_at, target_of
from scout_deploy.cli.context import MAX_TIMEOUT_S
from scout_deploy.cli.deployments import deployments
from scout_deploy.cli.output import Output
from scout_deploy.errors import RequestFailedError

_HINTS = {
    int(http.client.SERVICE_UNAVAILABLE): "scout-deploy status",
    int(http.client.UNAUTHORIZED): f"set {KEY_VARIABLE} to an API key of that service",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)


def generate(
    prompt: Annotated[str, typer.Argument(help="What to answer.")],
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="Base address of the API; without it the running deployment's. Its key, where it needs one, is read "
            f"from the environment variable {KEY_VARIABLE}."
        ),
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
    client = _deployment_client(name) if url is None else target_at(url).client()
    fields = {
        "max_length": max_length,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "num_return_sequences": num_sequences,
    }
    body = {"prompt": prompt, **{key: value for key, value in fields.items() if value is not None}}
    answer = _call(client, body, timeout)
    texts = _texts(client.url, answer)
    output.document(answer.body)
    for number, text in enumerate(texts):
        if number:
            output.line("---", style="dim")
        output.line(text)


def _deployment_client(name: str | None) -> ApiClient:
    every = deployments()
    if name is None and not every.names():
        return target_at(DEFAULT_URL).client()
    return target_of(every, every.choose(name, usage="generate PROMPT --name NAME")).client()


def _call(client: ApiClient, body: Mapping[str, object], timeout_s: float) -> ApiAnswer:
    url = client.url
    try:
        return client.ask("/generate", body=body, timeout_s=timeout_s)
    except (OSError, http.client.HTTPException) as exc:
        raise RequestFailedError(
            f"no answer from {url}: {str(exc) or type(exc).__name__}",
            next_step="scout-deploy status, or scout-deploy up",
        ) from exc
    except ValueError as exc:
        raise RequestFailedError(str(exc), next_step="give --url as in http://127.0.0.1:2025") from exc


def _texts(url: str, answer: ApiAnswer) -> list[str]:
    if answer.status != http.client.OK:
        hint = _HINTS.get(answer.status)
        raise RequestFailedError(f"{url} answered with {answer.status}: {answer.detail}", next_step=hint)
    match answer.body:
        case {"generated_texts": list() as texts}:
            return texts
    raise RequestFailedError(f"{url} is not this API: its answer has no generated_texts")
