"""Which files of a repository TGI needs: the weights once, in one format, and what is read beside them."""

import re
from collections.abc import Sequence

from scout_deploy.errors import WeightsError
from scout_deploy.weights.repository import RepoFile

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})\.safetensors")

# TGI leaves out weight files with these words in their names (`server/text_generation_server/utils/hub.py`).
_NOT_WEIGHTS = ("arguments", "args", "training")

# The same weights again, for other programs.
_OTHER_FORMATS = (".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5", ".onnx", ".ckpt", ".npz", ".tflite")

# What transformers reads to make a tokenizer, a processor or a prompt.
_BESIDE = re.compile(
    r".+\.json|.+\.model|.+\.tiktoken|.+\.jinja|tokenizer.*|vocab\.(txt|bpe)|merges\.txt|sentencepiece.*",
)
_TRAINING_LOGS = frozenset({"trainer_state.json", "all_results.json", "train_results.json", "eval_results.json"})
_INDEX = ".index.json"


def needed_files(model_id: str, files: Sequence[RepoFile], *, with_code: bool = False) -> tuple[RepoFile, ...]:
    """Choose the files to fetch, small ones first and then the weights in the order of their shards.

    TGI looks at the top folder alone, and takes every safetensors file that lies there: a second copy of the weights
    under other names would be loaded too.

    Args:
        model_id: For the message.
        files: The whole repository.
        with_code: Whether the model's own Python files are wanted, which only `trust_remote_code` runs.

    Raises:
        WeightsError: There are no safetensors, or shards are missing.
    """
    top = [file for file in files if "/" not in file.path]
    weights = _weights(model_id, top, files)
    stems = {_stem(file.path) for file in weights}
    beside = [file for file in top if _is_beside(file.path, stems, with_code=with_code)]
    return (*sorted(beside, key=lambda file: (file.size_bytes, file.path)), *weights)


def _weights(model_id: str, top: Sequence[RepoFile], files: Sequence[RepoFile]) -> list[RepoFile]:
    found = [
        file
        for file in top
        if file.path.endswith(".safetensors") and not any(word in file.path for word in _NOT_WEIGHTS)
    ]
    if not found:
        raise _no_safetensors(model_id, files)
    copies: dict[str, list[RepoFile]] = {}
    for file in found:
        copies.setdefault(_stem(file.path), []).append(file)
    indexed = {file.path.removesuffix(f".safetensors{_INDEX}") for file in top if file.path.endswith(_INDEX)}
    chosen = copies[min(copies, key=lambda stem: _preference(stem, indexed))]
    shards = [file for file in chosen if _SHARD.fullmatch(file.path)]
    # A repository with both the whole and its parts: the parts load in parallel.
    weights = sorted(shards or chosen, key=lambda file: file.path)
    _check_shards(model_id, weights)
    return weights


def _stem(path: str) -> str:
    shard = _SHARD.fullmatch(path)
    return shard["stem"] if shard else path.removesuffix(".safetensors")


def _preference(stem: str, indexed: set[str]) -> tuple[bool, bool, bool, str]:
    # `consolidated` is the layout of the model's authors, and `adapter_model` not a model at all.
    return stem != "model", stem.startswith(("consolidated", "adapter")), stem not in indexed, stem


def _check_shards(model_id: str, weights: Sequence[RepoFile]) -> None:
    shards = [shard for file in weights if (shard := _SHARD.fullmatch(file.path))]
    if not shards:
        return
    there = {int(shard["number"]) for shard in shards}
    counts = {int(shard["count"]) for shard in shards}
    missing = sorted(set(range(1, max(counts) + 1)) - there)
    if len(counts) > 1 or missing:
        what = f"shard {missing[0]} of {max(counts)} is missing" if missing else "its shards are of two sets"
        raise WeightsError(
            f"the repository {model_id} is not complete: {what}",
            next_step="choose another revision; the owners may be uploading this one",
        )


def _is_beside(path: str, stems: set[str], *, with_code: bool) -> bool:
    if path.endswith(".py"):
        return with_code
    if path.endswith((".safetensors", *_OTHER_FORMATS)) or path in _TRAINING_LOGS:
        return False
    if path.endswith(_INDEX):
        return path.removesuffix(f".safetensors{_INDEX}") in stems
    return _BESIDE.fullmatch(path) is not None


def _no_safetensors(model_id: str, files: Sequence[RepoFile]) -> WeightsError:
    formats = sorted({suffix for file in files for suffix in _OTHER_FORMATS if file.path.endswith(suffix)})
    if ".gguf" in formats:
        return WeightsError(
            f"the repository {model_id} holds GGUF files and no safetensors, which is what this engine loads",
            next_step="name the repository that they were made from, or serve the file with engine.kind: embedded",
        )
    others = f", only {', '.join(formats)}" if formats else " in its top folder"
    return WeightsError(
        f"the repository {model_id} holds no safetensors file{others}",
        next_step="choose a repository or revision with safetensors",
    )
