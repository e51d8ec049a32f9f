"""Text that every Python interpreter carries: its language reference and its standard library (PSF licence)."""

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from demo_model.document import Document, Kind, plain

EXCLUDED_FOLDERS = frozenset(
    {"site-packages", "test", "tests", "idlelib", "lib2to3", "encodings", "pydoc_data", "__pycache__"}
)
"""Tests and tables: long, repetitive, and little of them is prose or ordinary code."""

LARGEST_MODULE_CHARACTERS = 120_000
SHORTEST_DOCSTRING_CHARACTERS = 120


def topic_documents() -> Iterator[Document]:
    """Yield the language reference, one document for each topic of `help()`."""
    for name, text in sorted(topics.items()):
        yield plain(f"topic:{name}", Kind.ENGLISH_PROSE, text.strip())


def module_documents() -> Iterator[Document]:
    """Yield each module of the standard library as code, and its docstrings as prose.

    Both documents of one module carry the module's name, so they fall on the same side of the split.
    """
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if EXCLUDED_FOLDERS.intersection(relative.parts):
            continue
        source = path.read_text(encoding="utf-8", errors="ignore")
        if not 200 <= len(source) <= LARGEST_MODULE_CHARACTERS:
            continue
        name = f"module:{relative.as_posix()}"
        yield plain(name, Kind.PYTHON_CODE, source.strip())
        prose = docstrings(source)
        if prose:
            yield plain(name, Kind.ENGLISH_PROSE, prose)


def docstrings(source: str) -> str:
    """Return the longer docstrings of a module's source, one paragraph each; empty where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, owners)]
    return "\n\n".join(text for text in found if len(text) >= SHORTEST_DOCSTRING_CHARACTERS)
