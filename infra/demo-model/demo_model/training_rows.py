"""Learn the vocabulary from the corpus and turn the documents into rows."""

from collections.abc import Iterable, Mapping
from typing import Final

from demo_model.corpus import Corpus, common_characters
from demo_model.document import Document, Kind
from demo_model.packing import Rows, pack
from demo_model.shape import Shape
from demo_model.special_tokens import SPECIAL_TOKENS
from demo_model.tokenizer import DemoTokenizer
from demo_model.vocabulary import learn_vocabulary

ROW_LENGTH: Final = 256

SHARES: Final = {
    Kind.ENGLISH_PROSE: 0.24,
    Kind.PYTHON_CODE: 0.13,
    Kind.CHINESE_PROSE: 0.025,
    Kind.ENGLISH_DIALOGUE: 0.025,
    Kind.CHINESE_DIALOGUE: 0.03,
    Kind.ENGLISH_TEMPLATED: 0.22,
    Kind.CHINESE_TEMPLATED: 0.33,
}
"""Part of the rows in training. What was written by hand comes round dozens of times, the rest once or twice."""

VOCABULARY_WEIGHTS: Final = {
    Kind.ENGLISH_PROSE: 4,
    Kind.PYTHON_CODE: 1,
    Kind.CHINESE_PROSE: 60,
    Kind.ENGLISH_DIALOGUE: 40,
    Kind.CHINESE_DIALOGUE: 60,
    Kind.ENGLISH_TEMPLATED: 1,
    Kind.CHINESE_TEMPLATED: 1,
}
"""How often each text counts when the vocabulary is learnt; templates repeat themselves enough."""


def make_tokenizer(corpus: Corpus, shape: Shape) -> DemoTokenizer:
    """Return the tokenizer learnt from the training side."""
    texts = ((document.text, VOCABULARY_WEIGHTS[document.kind]) for document in corpus.training)
    characters = common_characters(corpus.training)
    return DemoTokenizer(learn_vocabulary(texts, characters, shape.vocabulary - len(SPECIAL_TOKENS)))


def rows_by_kind(documents: Iterable[Document], tokenizer: DemoTokenizer) -> Mapping[Kind, Rows]:
    """Return packed rows for each kind that has documents."""
    by_kind: dict[Kind, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document.kind, []).append(document)
    return {
        kind: pack([tokenizer.encode_document(document) for document in by_kind[kind]], ROW_LENGTH)
        for kind in Kind
        if kind in by_kind
    }
