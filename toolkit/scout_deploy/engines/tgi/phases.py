"""TGI's start, read off the lines of its launcher, its router and its shards; as plain text and as JSON.

The texts are those of launcher/src/main.rs (`download_convert_model`, `shard_manager`, `spawn_webserver`),
backends/v3/src/backend.rs and lib.rs, router/src/server.rs and server/text_generation_server/utils/hub.py, tags v3.0.0
to v3.3.7.
"""

import json
import re
from collections.abc import Iterable

from scout_deploy.engines.adapter import StartPhase

DOWNLOAD, LOAD, WARM_UP, READY = "download", "load", "warm-up", "ready"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The compact format of the launcher: a time, a level, the spans, the target, the message and the spans' fields.
_PREFIX = re.compile(r"^\S+Z\s+(?:TRACE|DEBUG|INFO|WARN|ERROR)\s+(?P<rest>.*)$")
_RANK = re.compile(r"\brank=(?P<rank>\d+)")
# Rust's way to write a duration.
_READY_AFTER = re.compile(r"Shard ready in (?P<number>[0-9.]+)(?P<unit>ns|µs|ms|s)")
_DOWNLOADED = re.compile(r"Download: \[(?P<done>\d+)/(?P<all>\d+)\]")
# server/text_generation_server/models/flash_causal_lm.py `warmup`; the router then says the least of all shards. A
# model without a paged cache has no such line, and its budget is a setting and no measurement.
_BLOCKS = re.compile(r"KV-cache blocks: (?P<blocks>\d+), size: (?P<size>\d+)")
_BUDGET = re.compile(r"Setting max batch total tokens to (?P<tokens>\d+)")


def read_phase(line: str) -> StartPhase | None:
    """Return the phase that a line announces, if it announces one."""
    text, rank = _message(line)
    if "Starting check and download process for" in text:
        return StartPhase(name=DOWNLOAD, detail="checks the weights")
    if (match := _DOWNLOADED.search(text)) is not None:
        return _downloaded(int(match["done"]), int(match["all"]))
    if "Successfully downloaded weights" in text:
        return StartPhase(name=DOWNLOAD, detail="the weights are there", percent=100.0)
    return _read_shard(text, rank) or _read_router(text)


def read_kv_tokens(lines: Iterable[str]) -> int | None:
    """Return the tokens that the KV cache of the last start among these lines holds; None where none says it."""
    allotted: int | None = None
    for line in lines:
        text, _ = _message(line)
        if (match := _BLOCKS.search(text)) is not None:
            allotted = int(match["blocks"]) * int(match["size"])
        elif allotted is not None and (match := _BUDGET.search(text)) is not None:
            allotted = min(allotted, int(match["tokens"]))
    return allotted


def _read_shard(text: str, rank: int | None) -> StartPhase | None:
    shard = "the shard" if rank is None else f"shard {rank}"
    if (match := _READY_AFTER.search(text)) is not None:
        return StartPhase(name=LOAD, detail=f"{shard} is ready after {float(match['number']):.1f} {match['unit']}")
    if "Waiting for shard to be ready..." in text:
        return StartPhase(name=LOAD, detail=f"{shard} loads")
    if re.search(r"\bStarting shard\b", text):
        return StartPhase(name=LOAD, detail=f"{shard} starts")
    return None


def _read_router(text: str) -> StartPhase | None:
    if "Starting Webserver" in text:
        return StartPhase(name=WARM_UP, detail="the router starts")
    if "Warming up model" in text:
        return StartPhase(name=WARM_UP, detail="computes the largest batch")
    if (match := _BUDGET.search(text)) is not None:
        return StartPhase(name=WARM_UP, detail=f"room for {match['tokens']} tokens")
    if re.search(r"(?:^|: )Connected$", text):
        return StartPhase(name=READY)
    return None


def _downloaded(done: int, total: int) -> StartPhase:
    return StartPhase(
        name=DOWNLOAD, detail=f"file {done} of {total}", percent=100.0 * done / total if total > 0 else None
    )


def _message(line: str) -> tuple[str, int | None]:
    """Part the message from the rest of the line, and find the shard that it is about."""
    plain = _COLOUR.sub("", line).strip()
    if plain.startswith("{"):
        return _json_message(plain)
    prefixed = _PREFIX.match(plain)
    text = plain if prefixed is None else prefixed["rest"]
    rank = _RANK.search(text)
    return _RANK.sub("", text).rstrip(), None if rank is None else int(rank["rank"])


def _json_message(text: str) -> tuple[str, int | None]:
    try:
        record = json.loads(text)
    except ValueError:
        return text, None
    fields = record.get("fields") if isinstance(record, dict) else None
    message = fields.get("message") if isinstance(fields, dict) else None
    span = record.get("span") if isinstance(record, dict) else None
    rank = span.get("rank") if isinstance(span, dict) else None
    return (message if isinstance(message, str) else ""), rank if isinstance(rank, int) else None
