"""Everything the model is made from, split into what it is trained on and what it is measured on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

from demo_model.arithmetic import arithmetic_documents
from demo_model.document import Document, Kind, is_held_out
from demo_model.held_out_prompts import HeldOutPrompts, read_prompts
from demo_model.python_sources import module_documents, topic_documents
from demo_model.templates import TEMPLATE_FILES, combined_documents, read_template_file
from demo_model.written_text import written_documents

HERE = Path(__file__).parent.parent
CORPUS_FOLDER = HERE / "corpus"
HELD_OUT_PROMPTS_FILE = HERE / "held-out-prompts.txt"
CHARACTERS_FILE = CORPUS_FOLDER / "common-characters.txt"
COMBINATIONS = 24_000
SUMS = 1_500

HELD_OUT_PERCENT = {
    Kind.ENGLISH_PROSE: 4,
    Kind.PYTHON_CODE: 4,
    Kind.CHINESE_PROSE: 16,
    Kind.ENGLISH_DIALOGUE: 12,
    Kind.CHINESE_DIALOGUE: 16,
    Kind.ENGLISH_TEMPLATED: 2,
    Kind.CHINESE_TEMPLATED: 2,
}


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The two sides of the split; no document is on both."""

    training: tuple[Document, ...]
    held_out: tuple[Document, ...]

    def digest(self) -> str:
        """Return the SHA-256 over all documents, for the log."""
        total = sha256()
        for document in chain(self.training, self.held_out):
            total.update(f"{document.name}\0{document.kind}\0{document.text}\0".encode())
        return total.hexdigest()


def own_documents(seed: int) -> Iterator[Document]:
    """Yield all text that was made for this project, without the Python documentation and library."""
    yield from written_documents(CORPUS_FOLDER)
    for name, kind in TEMPLATE_FILES.items():
        yield from combined_documents(read_template_file(CORPUS_FOLDER, name, kind), COMBINATIONS, seed)
    yield from arithmetic_documents(SUMS, seed)


def split(documents: Iterable[Document]) -> Corpus:
    """Split by document; texts that occur twice are kept once."""
    training: list[Document] = []
    held_out: list[Document] = []
    seen: set[str] = set()
    for document in documents:
        if document.text in seen:
            continue
        seen.add(document.text)
        (held_out if is_held_out(document, HELD_OUT_PERCENT[document.kind]) else training).append(document)
    return Corpus(training=tuple(training), held_out=tuple(held_out))


def build_corpus(seed: int) -> Corpus:
    """Return the corpus, checked against the held-out prompts.

    A document of Python's own that holds one is left out, for it cannot be reworded.

    Raises:
        CorpusError: a document made for this project holds a held-out prompt, or a corpus file is malformed.
    """
    prompts = HeldOutPrompts(read_prompts(HELD_OUT_PROMPTS_FILE))
    library = (text for text in chain(topic_documents(), module_documents()) if prompts.found_in(text) is None)
    corpus = split(chain(library, own_documents(seed)))
    prompts.check(corpus.training)
    return corpus


def common_characters(documents: Iterable[Document]) -> list[str]:
    """Return the Chinese characters that become tokens: the list file's, and all that the training text has twice."""
    listed = [character for character in CHARACTERS_FILE.read_text(encoding="utf-8") if is_chinese(character)]
    counts: dict[str, int] = {}
    for document in documents:
        if document.kind.startswith("chinese"):
            for character in document.text:
                counts[character] = counts.get(character, 0) + 1
    written = sorted((character for character, count in counts.items() if count > 1 and is_chinese(character)))
    return list(dict.fromkeys(listed + written))


def is_chinese(character: str) -> bool:
    """Say whether it is a Chinese character or Chinese punctuation."""
    return "\u4e00" <= character <= "\u9fff" or character in "，。？！：；、“”《》（）"
