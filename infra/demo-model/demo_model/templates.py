"""Combine the template files into many different sentences, stories and dialogues."""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final

from demo_model.document import Document, Kind, Message, Role, plain

Values = Mapping[str, Sequence[str | Mapping[str, str]]]

TEMPLATE_FILES: Final = {"templates.en.toml": Kind.ENGLISH_TEMPLATED, "templates.zh.toml": Kind.CHINESE_TEMPLATED}
FUNCTIONS_FILE: Final = "functions.toml"
TRIES_FOR_EACH: Final = 4


@dataclass(frozen=True, kw_only=True)
class Template:
    """A text or a dialogue with `{slots}`; each of its parts has several wordings.

    Attributes:
        parts: Role and wordings, in the order of the turns.
        weight: How often it is drawn, relative to the others.
    """

    parts: tuple[tuple[Role, tuple[str, ...]], ...]
    weight: int


@dataclass(frozen=True, kw_only=True)
class TemplateFile:
    """The templates of one language and the values of their slots."""

    name: str
    kind: Kind
    values: Values
    templates: tuple[Template, ...]


def read_template_file(folder: Path, name: str, kind: Kind) -> TemplateFile:
    """Read a template file; the Python functions of `functions.toml` are values of every language."""
    content = tomllib.loads((folder / name).read_text(encoding="utf-8"))
    functions = tomllib.loads((folder / FUNCTIONS_FILE).read_text(encoding="utf-8"))["function"]
    return TemplateFile(
        name=name,
        kind=kind,
        values={
            **content["values"],
            "function": [{key: text.strip() for key, text in entry.items()} for entry in functions],
        },
        templates=tuple(template(entry) for entry in content["template"]),
    )


def template(entry: Mapping[str, object]) -> Template:
    """Return one template of the file; its keys are roles, in the order of the turns."""
    weight = entry.get("weight", 1)
    parts = [(Role(key.rstrip("0123456789")), value) for key, value in entry.items() if key != "weight"]
    return Template(
        parts=tuple((role, tuple(value) if isinstance(value, list) else (str(value),)) for role, value in parts),
        weight=int(str(weight)),
    )


def slots(texts: Sequence[str]) -> list[str]:
    """Return the names of the slots in the texts, each once, in their order."""
    return list(dict.fromkeys(name for text in texts for name in slots_of(text)))


@cache
def slots_of(text: str) -> tuple[str, ...]:
    """Return the names of the slots in one of the few texts that everything is drawn from."""
    return tuple(field.split("[")[0] for _, field, _, _ in Formatter().parse(text) if field)


def filling(names: Sequence[str], values: Values, choice: random.Random) -> dict[str, str | Mapping[str, str]]:
    """Draw a value for each slot; `name2` is another value of the list `name`, never the same one twice."""
    drawn: dict[str, str | Mapping[str, str]] = {}
    used: dict[str, list[str | Mapping[str, str]]] = {}
    for name in names:
        source = name.rstrip("0123456789")
        taken = used.setdefault(source, [])
        value = choice.choice([candidate for candidate in values[source] if candidate not in taken])
        taken.append(value)
        drawn[name] = value
    return drawn


def draw(source: TemplateFile, choice: random.Random) -> tuple[Message, ...]:
    """Return one random combination of one random template."""
    chosen = choice.choices(source.templates, weights=[entry.weight for entry in source.templates])[0]
    wordings = [(role, choice.choice(texts)) for role, texts in chosen.parts]
    drawn = filling(slots([text for _, text in wordings]), source.values, choice)
    return tuple(Message(role=role, content=text.format_map(drawn).strip()) for role, text in wordings)


def combined_documents(source: TemplateFile, count: int, seed: int) -> Iterator[Document]:
    """Yield up to `count` different combinations.

    A document is named after what it asks (or its whole text), so two different answers to the same question are on the
    same side of the split.
    """
    choice = random.Random(f"{seed}:{source.name}")
    seen: set[tuple[Message, ...]] = set()
    for _ in range(count * TRIES_FOR_EACH):
        if len(seen) == count:
            return
        messages = draw(source, choice)
        if messages in seen:
            continue
        seen.add(messages)
        asked = [message.content for message in messages if message.role is not Role.ASSISTANT]
        name = f"{source.name}:{' '.join(asked)}"
        if messages[0].role is Role.TEXT:
            yield plain(name, source.kind, messages[0].content)
        else:
            yield Document(name=name, kind=source.kind, messages=messages)
