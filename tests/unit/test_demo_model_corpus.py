"""The demonstration model's text holds no prompt that the documents and the contract tests use."""

import ast
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
CHECK = REPOSITORY / "infra" / "demo-model" / "check_corpus.py"
README_PROMPT = re.compile(r'(?:"prompt": |"content": |--prompt |generate )"([^"]+)"')
SHORTEST = 5
"""Characters; shorter texts, a greeting or one word, are in any text."""


def readme_prompts() -> set[str]:
    """Return what the README sends to a model."""
    return set(README_PROMPT.findall((REPOSITORY / "README.md").read_text(encoding="utf-8")))


def contract_prompts() -> set[str]:
    """Return every text of the contract tests that could be a prompt: a sentence, or Chinese."""
    trees = [ast.parse(path.read_bytes()) for path in (REPOSITORY / "tests" / "contract").glob("*.py")]
    nodes = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = {value for value in nodes if isinstance(value, str) and len(value) >= SHORTEST and "\n" not in value}
    return {text for text in texts if text.endswith((".", "?", "!")) or not text.isascii()}


def check(prompts: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the check with these prompts beside the listed ones."""
    listed = folder / "prompts.txt"
    listed.write_text("\n".join(prompts), encoding="utf-8")
    command = [sys.executable, str(CHECK), "--prompts", str(listed)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_prompt_in_use_is_in_the_text(tmp_path: Path) -> None:
    readme, contract = readme_prompts(), contract_prompts()

    result = check(sorted(readme | contract), tmp_path)

    assert "Tell me about the sea." in readme
    assert "Name a colour." in contract
    assert (result.returncode, result.stderr) == (0, "")


def test_a_prompt_of_the_text_is_named(tmp_path: Path) -> None:
    result = check(["为什么天空是蓝色的？"], tmp_path)

    assert result.returncode == 1
    assert "'为什么天空是蓝色的？'" in result.stderr
    assert "reword the corpus file" in result.stderr


def test_a_near_copy_of_a_prompt_is_found(tmp_path: Path) -> None:
    """The text asks "Why is the sky blue?"; other case and a word more make no other question of it."""
    result = check(["So why is the SKY blue"], tmp_path)

    assert result.returncode == 1
    assert "So why is the SKY blue" in result.stderr
