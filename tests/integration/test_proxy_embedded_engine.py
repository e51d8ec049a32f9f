"""The proxy in front of the real embedded engine and its demonstration model."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.demo_template import demo_template
from fakes.running_proxy import RunningProxy, route_table, running_proxy, wait_until
from fakes.this_machine import unused_port
from scout_proxy.route_table import Template

CHAT = (
    "<|im_start|>system\n你是一个有帮助的AI助手。<|im_end|>\n"
    "<|im_start|>user\nPython的主要特点是什么？<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@contextmanager
def engine_process(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "scout_engine", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = next(line.split("url=")[1].split()[0] for line in process.stdout if "url=" in line)
            yield process, url
        finally:
            process.kill()


@pytest.fixture(scope="module")
def template() -> Template:
    return demo_template()


@pytest.fixture(scope="module")
def real_proxy(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    path = tmp_path_factory.mktemp("real") / "routes.json"
    with engine_process() as (_, url), running_proxy(path, route_table(url, template=template)) as proxy:
        proxy.wait_for("active")
        yield proxy


def texts(proxy: RunningProxy, **fields: object) -> list[str]:
    answer = proxy.generate(**{"max_length": 24, **fields})
    assert answer.status_code == 200, answer.text
    generated: list[str] = answer.json()["generated_texts"]
    return generated


def test_two_sampled_sequences_differ(real_proxy: RunningProxy) -> None:
    # So hot that two are hardly ever the same by chance.
    hot = {"temperature": 10_000, "top_p": 1, "top_k": 0}
    first, second = texts(real_proxy, prompt="Tell me a story.", num_return_sequences=2, **hot)

    assert first != second


def test_greedy_answers_are_equal(real_proxy: RunningProxy) -> None:
    assert texts(real_proxy, temperature=0) == texts(real_proxy, temperature=0)


def test_the_documented_chat_gives_text_without_markup(real_proxy: RunningProxy, template: Template) -> None:
    # The likeliest tokens, since an answer that is drawn may be empty.
    (text,) = texts(real_proxy, prompt=CHAT, max_length=1024, temperature=0)

    assert text.strip()
    assert not [token for token in (*template.special_tokens, "<|im_start|>", "<|im_end|>") if token in text]


@pytest.mark.parametrize(
    "fields", [{"top_p": 1}, {"top_k": 0}, {"max_length": 100_000}, {"temperature": 1e-300}, {"top_p": 1e-300}]
)
def test_every_edge_of_sampling_is_taken(real_proxy: RunningProxy, fields: dict[str, float]) -> None:
    assert len(texts(real_proxy, **fields)) == 1


def test_a_prompt_beyond_the_context_is_refused_with_its_tokens(real_proxy: RunningProxy) -> None:
    answer = real_proxy.generate(prompt="word " * 9_000)

    assert answer.status_code == 422
    assert "tokens and leaves no room" in answer.json()["detail"][0]["msg"]


def test_a_killed_engine_is_a_503_until_it_is_back(template: Template, tmp_path: Path) -> None:
    with engine_process(unused_port()) as (process, url):
        table = route_table(url, template=template)
        with running_proxy(tmp_path / "routes.json", table) as proxy:
            proxy.wait_for("active")
            process.kill()
            wait_until(lambda: proxy.generate(max_length=4).status_code == 503, "the loss is seen")
            assert proxy.generate().json() == {"detail": "Model or tokenizer not loaded"}
            process.wait(30)
            with engine_process(int(url.rsplit(":", 1)[1])):
                proxy.wait_for("active")
                assert len(texts(proxy)) == 1
