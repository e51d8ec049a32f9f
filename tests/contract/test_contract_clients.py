"""The document's own programs run as they stand there, against the port."""

import subprocess
import sys

import pytest

from contract.api import TIMEOUT_S, Api
from contract.document_clients import CHAT_CLIENT, REQUESTS_CLIENT

DOCUMENTED_ADDRESS = "http://localhost:2025"
MARKUP = ("<|", "|>", "im_start", "im_end")


def run_program(*arguments: str) -> str:
    """Run Python and return what it printed; what the programs print may be any text, whatever the locale."""
    result = subprocess.run(
        [sys.executable, "-X", "utf8", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("program", [REQUESTS_CLIENT, CHAT_CLIENT], ids=["requests client", "chat client"])
def test_the_documents_clients_print_real_text(api: Api, program: str) -> None:
    assert program.count(DOCUMENTED_ADDRESS) == 1

    printed = run_program("-c", program.replace(DOCUMENTED_ADDRESS, api.url))

    assert len(printed.strip()) >= 2
    assert not printed.startswith(("编写一个", "<|im_start|>"))
    assert not any(markup in printed for markup in MARKUP)


@pytest.mark.parametrize(
    ("flags", "answers"),
    [
        ([], 1),
        (["--prompt", "写一个递归函数来计算 Python 中的阶乘"], 1),
        (["--max-length", "256", "--temperature", "0.8", "--top-p", "0.95", "--num-sequences", "2"], 2),
    ],
    ids=["defaults", "own prompt", "own parameters"],
)
def test_the_documents_command_lines_work(api: Api, flags: list[str], answers: int) -> None:
    printed = run_program("-m", "scout_deploy.api_examples", *flags, "--url", api.url)

    assert printed.count("--- ") == answers
    texts = [part.partition("---\n")[2] for part in printed.split("--- ") if part]
    # Two sequences may well be drawn alike: the model is fond of some answers at these temperatures.
    assert all(text.strip() for text in texts)


def test_an_address_with_a_slash_at_its_end_is_the_same(api: Api) -> None:
    assert run_program("-m", "scout_deploy.api_examples", "--url", f"{api.url}/", "--max-length", "8").strip()
