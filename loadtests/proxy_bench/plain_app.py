"""FastAPI with `text_generation.AsyncClient` as its documentation shows it: what the proxy would be without its design.

In its favour: uvloop, httptools and no access log.
"""

import argparse

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field
from text_generation import AsyncClient


class GenerateRequest(BaseModel):
    """The documented request."""

    prompt: str
    max_length: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.9, gt=0, lt=1)
    top_k: int = Field(default=50, ge=1)
    num_return_sequences: int = Field(default=1, ge=1)


class GenerateResponse(BaseModel):
    """The documented answer."""

    generated_texts: list[str]
    parameters: GenerateRequest


def create_app(engine_url: str) -> FastAPI:
    """Build the application."""
    app = FastAPI()
    client = AsyncClient(engine_url)

    @app.post("/generate")
    async def generate(request: GenerateRequest) -> GenerateResponse:
        response = await client.generate(
            request.prompt,
            do_sample=True,
            max_new_tokens=request.max_length,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
        )
        return GenerateResponse(generated_texts=[response.generated_text], parameters=request)

    return app


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", required=True, help="the engine's base URL")
    given = parser.parse_args()
    uvicorn.run(
        create_app(given.engine), host="127.0.0.1", port=given.port, loop="uvloop", http="httptools", access_log=False
    )


if __name__ == "__main__":
    main()
