"""The document's example programs: two client functions, and the command `python -m scout_deploy.api_examples`.

They use nothing but the documented contract and the `requests` package, so that they can be copied into any program.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import requests

DEFAULT_URL = "http://localhost:2025"
KEY_VARIABLE = "SCOUT_API_KEY"
"""The environment variable that holds an API key, for a service that needs one."""

DEFAULT_PROMPT = "用 Python 编写一个计算斐波那契数列的函数"


def generate_text_from_llama4(
    prompt: str, max_length: int = 512, temperature: float = 0.7, url: str = DEFAULT_URL
) -> str:
    """Generate one text.

    Raises:
        RuntimeError: The API answered with an error; the message is its body.
        requests.RequestException: Nobody answers at `url`.
    """
    answer = post_generate(url, {"prompt": prompt, "max_length": max_length, "temperature": temperature})
    return str(answer["generated_texts"][0])


def chat_with_llama4(messages: Sequence[Mapping[str, str]], temperature: float = 0.7, url: str = DEFAULT_URL) -> str:
    """Answer a conversation, sent as ChatML in the prompt.

    Args:
        messages: Each with `role` (`system`, `user` or `assistant`) and `content`.

    Raises:
        RuntimeError: The API answered with an error; the message is its body.
        requests.RequestException: Nobody answers at `url`.
    """
    turns = (f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
    prompt = "".join(turns) + "<|im_start|>assistant\n"
    answer = post_generate(url, {"prompt": prompt, "max_length": 1024, "temperature": temperature})
    return str(answer["generated_texts"][0])


def post_generate(url: str, payload: Mapping[str, object]) -> dict[str, Any]:
    """Send one documented request and return its answer.

    Raises:
        RuntimeError: The API answered with an error; the message is its body.
        requests.RequestException: Nobody answers at `url`.
    """
    key = os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else None
    response = requests.post(f"{url.rstrip('/')}/generate", json=dict(payload), headers=headers, timeout=600)
    if response.status_code != requests.codes.ok:
        raise RuntimeError(f"the API answered with {response.status_code}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the document's command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m scout_deploy.api_examples", description="Call the API once.")
    parser.add_argument("--prompt", default=DEFAULT_PROMPT)
    parser.add_argument("--max-length", type=int, default=512, help="the most tokens to generate")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy")
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--num-sequences", type=int, default=1, help="how many answers")
    parser.add_argument("--url", default=DEFAULT_URL, help=f"base address of the API; {KEY_VARIABLE} may hold its key")
    chosen = parser.parse_args(arguments)
    payload = {
        "prompt": chosen.prompt,
        "max_length": chosen.max_length,
        "temperature": chosen.temperature,
        "top_p": chosen.top_p,
        "num_return_sequences": chosen.num_sequences,
    }
    try:
        answer = post_generate(chosen.url, payload)
    except (RuntimeError, requests.RequestException) as exc:
        print(f"error: {exc}", file=sys.stderr)
        print(f"next: see what {chosen.url} says: scout-deploy status, or scout-deploy up", file=sys.stderr)
        return 1
    for number, text in enumerate(answer["generated_texts"], start=1):
        print(f"--- {number} of {len(answer['generated_texts'])} ---")
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
