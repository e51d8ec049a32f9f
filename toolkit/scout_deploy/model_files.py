"""What a model's published files say of its chat format and its make. Pure over a reader of files."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scout_deploy.model_facts import ModelFacts, code_of_config, facts_of_config
from scout_proxy.route_table import Template

ReadFile = Callable[[str], bytes | None]

_BRACKETED = re.compile(r"<\S+>|\[\S+\]")


def facts_of_files(read: ReadFile) -> ModelFacts:
    """Return the facts in `config.json`; unknown ones where it is missing.

    Args:
        read: Gives a file of the model's directory, or None.
    """
    return facts_of_config(_json(read, "config.json"))


def own_code(read: ReadFile) -> tuple[str, ...]:
    """Return the Python files that the model names as its own code, which nothing here fetches or runs."""
    return code_of_config(_json(read, "config.json"))


def template_of_files(read: ReadFile) -> Template:
    """Return the chat template and the control tokens, as transformers finds them.

    The template is a file of its own in newer checkpoints (`chat_template.jinja`, `chat_template.json`), and a value in
    `tokenizer_config.json` in older ones; of several named ones the default counts.
    """
    config = _json(read, "tokenizer_config.json")
    source = _own_file(read) or _json(read, "chat_template.json").get("chat_template") or config.get("chat_template")
    template = _default_of(source)
    bos_token, eos_token = _token(config.get("bos_token")), _token(config.get("eos_token"))
    control = _control_tokens(_added_tokens(read, config), template or "") | {bos_token, eos_token}
    return Template(
        chat_template=template,
        bos_token=bos_token,
        eos_token=eos_token,
        special_tokens=tuple(sorted(control - {""}, key=lambda text: (-len(text), text))),
    )


def _own_file(read: ReadFile) -> str | None:
    content = read("chat_template.jinja")
    return None if content is None else content.decode("utf-8", "replace")


def _default_of(source: object) -> str | None:
    if isinstance(source, str):
        return source or None
    if isinstance(source, list):
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        chosen = named.get("default")
        return chosen if isinstance(chosen, str) else None
    return None


def _added_tokens(read: ReadFile, config: Mapping[str, Any]) -> list[object]:
    added, decoder = _json(read, "tokenizer.json").get("added_tokens"), config.get("added_tokens_decoder")
    return [
        *(added if isinstance(added, list) else ()),
        *(decoder.values() if isinstance(decoder, dict) else ()),
    ]


def _control_tokens(added: Iterable[object], template: str) -> set[str]:
    """Return what could forge a role.

    Publishers do not mark all of it as special: DeepSeek's distilled models do not mark `<｜User｜>`. So whatever the
    template writes in brackets and the tokenizer knows as one token counts too.
    """
    tokens = ((_token(one), bool(one.get("special"))) for one in added if isinstance(one, dict))
    return {text for text, is_special in tokens if is_special or (_BRACKETED.fullmatch(text) and text in template)}


def _token(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _json(read: ReadFile, name: str) -> dict[str, Any]:
    content = read(name)
    try:
        value = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        # The engine, which cannot do without it, will say what is wrong with it.
        return {}
    return value if isinstance(value, dict) else {}
