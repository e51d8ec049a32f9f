"""A profile's text as a tree that remembers where each value stands. The only file that reads YAML.

The tree is built from the parser's events, so nothing of YAML that a profile has no use for can act: tags and aliases
are refused, duplicate keys are found, and depth and size are bounded. Plain values have the types of YAML 1.2 (its core
schema), as editors see them: `yes` and `12:30` are text here, which YAML 1.1 makes true and 750 of.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from scout_deploy.errors import ProfileError
from scout_deploy.profile.problem import Place, Problem, shown
from scout_deploy.profile.tree import Mapping, Node, Scalar, ScalarValue, Sequence, plain

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16

_WORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
# YAML 1.2.2 §10.3.2. Longer digits than any key can take stay text, and so never reach Python's limit on them.
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_OCTAL = re.compile(r"0o[0-7]{1,40}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One text, read: its root, and what is wrong with it short of being no YAML at all."""

    root: Node
    problems: tuple[Problem, ...]


def read_document(path: Path, source: str) -> Document:
    """Read a profile's file, whose root is a mapping.

    Args:
        source: How messages name the file.

    Raises:
        ProfileError: It cannot be read, is no UTF-8, is too large, or is not the YAML of one mapping.
    """
    document = parse_document(_read_text(path, source), Place(source=source, line=1, directory=path.absolute().parent))
    if not isinstance(document.root, Mapping):
        empty = isinstance(document.root, Scalar) and document.root.value is None
        got = "nothing but comments or blanks" if empty else shown(plain(document.root))
        raise ProfileError(f"{source}: got {got}, expected a profile: lines of the form `key: value`")
    return document


def _read_text(path: Path, source: str) -> str:
    try:
        if path.is_dir():
            raise ProfileError(f"{source}: is a directory, expected a profile's file")
        if path.exists() and not path.is_file():
            raise ProfileError(f"{source}: is not a regular file, expected a profile's file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as exc:
        raise ProfileError(f"{source}: there is no such file") from exc
    except OSError as exc:
        raise ProfileError(f"{source}: cannot be read: {exc.strerror}") from exc
    if len(content) > MAX_BYTES:
        raise ProfileError(f"{source}: is larger than {MAX_BYTES // 1024} KiB, which no profile is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ProfileError(
            f"{source}:{line}: is not UTF-8 text (byte {exc.start})", next_step="Save the file as UTF-8."
        ) from exc


def parse_document(text: str, place: Place) -> Document:
    """Parse the YAML of one value, which begins at `place`.

    Raises:
        ProfileError: It is not YAML, more than one document, or nested too deeply.
    """
    builder = _Builder(text=text, place=place)
    try:
        root = builder.build()
    except yaml.MarkedYAMLError as exc:
        raise _syntax_error(exc, text, place) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise ProfileError(
            f"{place.at(line)}: holds the character U+{exc.character:04X}, which YAML does not allow"
        ) from exc
    return Document(root=root, problems=tuple(builder.problems))


def plain_scalar(text: str) -> ScalarValue:
    """Return what an unquoted text means in YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    return float(text) if _FLOAT.fullmatch(text) else text


def _syntax_error(exc: yaml.MarkedYAMLError, text: str, place: Place) -> ProfileError:
    problem = exc.problem or "cannot be parsed"
    if exc.problem_mark is None:
        return ProfileError(f"{place}: is not valid YAML: {problem}")
    line, column = exc.problem_mark.line, exc.problem_mark.column
    lines = text.splitlines()
    evidence = (lines[line][:200], " " * min(column, 200) + "^") if line < len(lines) else ()
    where = f"{place.at(line + 1)}:{column + 1}" if place.line is not None else str(place)
    return ProfileError(f"{where}: is not valid YAML: {problem}", next_step=_advice(problem), evidence=evidence)


def _advice(problem: str) -> str | None:
    if r"'\t'" in problem:
        return "Indent with spaces: YAML allows no tabs there."
    if "mapping values are not allowed" in problem:
        return "Check the indentation, and put a text that contains ': ' in quotes."
    return None


@dataclass(kw_only=True, slots=True)
class _Builder:
    text: str
    place: Place
    problems: list[Problem] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def build(self) -> Node:
        events: Iterator[yaml.Event] = yaml.parse(self.text, Loader=yaml.SafeLoader)
        root: Node | None = Scalar(value=None, place=self.place)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                root = self.node(next(events), events, depth=0)
                break
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                where = self.at(event)
                raise ProfileError(f"{where}: a second document begins (`---`), expected one profile in a file")
        return root if root is not None else Scalar(value=None, place=self.place)

    def at(self, event: yaml.Event) -> Place:
        return self.place if event.start_mark is None else self.place.at(event.start_mark.line + 1)

    def complain(self, event: yaml.Event, *, got: str, expected: str) -> None:
        self.problems.append(Problem(place=self.at(event), key=tuple(self.path), got=got, expected=expected))

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node | None:
        """Return the node that begins with this event; None for one that a problem was noted about."""
        if depth > MAX_DEPTH:
            raise ProfileError(f"{self.at(event)}: is nested deeper than {MAX_DEPTH} levels, which no profile is")
        if isinstance(event, yaml.AliasEvent):
            self.complain(
                event, got=f"the alias *{event.anchor}", expected="the value itself; profiles share by `extends`"
            )
            return None
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.complain(event, got=f"the tag {_short_tag(tag)}", expected="a value without a tag")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, events, depth=depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, events, depth=depth)
        if tag is not None or not isinstance(event, yaml.ScalarEvent):
            return None
        return Scalar(value=plain_scalar(event.value) if event.implicit[0] else event.value, place=self.at(event))

    def sequence(self, start: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            self.path.append(str(len(items)))
            if (item := self.node(event, events, depth=depth + 1)) is not None:
                items.append(item)
            self.path.pop()
        return Sequence(items=tuple(items), place=self.at(start))

    def mapping(self, start: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node:
        entries: dict[str, Node] = {}
        lines: dict[str, Place] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self.key(event, events, depth=depth)
            self.path.append(key if key is not None else "?")
            if key is not None and key in lines:
                self.complain(event, got="the key a second time", expected=f"it once; the first is at {lines[key]}")
            value = self.node(next(events), events, depth=depth + 1)
            self.path.pop()
            if key is None or key in lines:
                continue
            lines[key] = self.at(event)
            if value is not None and not key.startswith("x-"):
                entries[key] = _moved(value, lines[key])
        return Mapping(entries=entries, place=self.at(start))

    def key(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> str | None:
        node = self.node(event, events, depth=depth + 1)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node.value
        if node is not None:
            self.complain(event, got=f"{shown(plain(node))} as a key", expected="a key that is text")
        return None


def _moved(node: Node, place: Place) -> Node:
    if isinstance(node, Mapping):
        return Mapping(entries=node.entries, place=place)
    if isinstance(node, Sequence):
        return Sequence(items=node.items, place=place)
    return Scalar(value=node.value, place=place)


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!", 1)[:60]
