"""Read the text that was written for this project: prose and dialogues in English and Chinese."""

from collections.abc import Iterator
from pathlib import Path

from demo_model.document import Document, Kind, Message, Role, plain

SEPARATOR = "---"
SPEAKERS = {"S:": Role.SYSTEM, "U:": Role.USER, "A:": Role.ASSISTANT}
PROSE_FILES = {"prose.en.txt": Kind.ENGLISH_PROSE, "prose.zh.txt": Kind.CHINESE_PROSE}
DIALOGUE_FILES = {"dialogues.en.txt": Kind.ENGLISH_DIALOGUE, "dialogues.zh.txt": Kind.CHINESE_DIALOGUE}


class CorpusError(Exception):
    """A corpus file is not in its format, or holds a held-out prompt."""


def blocks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each block between separator lines, with the number of its first line."""
    first, block = 1, list[str]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line != SEPARATOR:
            block.append(line)
            continue
        yield first, block
        first, block = number + 1, []
    yield first, block


def dialogue(lines: list[str], place: str) -> tuple[Message, ...]:
    """Return the turns of one block; a line without a speaker goes on with the turn before.

    Raises:
        CorpusError: the first line names no speaker, or the last turn is not the assistant's.
    """
    turns: list[tuple[Role, list[str]]] = []
    for line in lines:
        speaker = SPEAKERS.get(line[:2])
        if speaker is not None:
            turns.append((speaker, [line[2:].strip()]))
        elif turns:
            turns[-1][1].append(line)
        elif line.strip():
            raise CorpusError(f"{place}: should begin with one of {', '.join(SPEAKERS)}, got {line!r}")
    if not turns or turns[-1][0] is not Role.ASSISTANT:
        raise CorpusError(f"{place}: the last turn should be the assistant's (A:)")
    return tuple(Message(role=role, content="\n".join(text).strip()) for role, text in turns)


def written_documents(folder: Path) -> Iterator[Document]:
    """Yield the prose and the dialogues of a corpus folder."""
    for name, kind in PROSE_FILES.items():
        for line, block in blocks(folder / name):
            yield plain(f"{name}:{block[0]}" if block else f"{name}:{line}", kind, "\n".join(block).strip())
    for name, kind in DIALOGUE_FILES.items():
        for line, block in blocks(folder / name):
            messages = dialogue(block, f"{folder / name}:{line}")
            yield Document(name=f"{name}:{messages[-1].content[:80]}", kind=kind, messages=messages)
