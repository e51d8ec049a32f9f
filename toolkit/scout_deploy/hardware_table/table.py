"""The shipped profiles on the GPUs that they are for, as a table in Markdown, from what is recorded of their models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from scout_deploy.engines.catalogue import planning_engine_for
from scout_deploy.engines.tgi.nearest import Shipped
from scout_deploy.fit.gpu_kind import PlanGpu, describe, read_gpus
from scout_deploy.fit.verdict import gb
from scout_deploy.fit_plan import FitPlan, PlanAnswer, Planner
from scout_deploy.known_models import known_model
from scout_deploy.plan_gpus import gpus_of
from scout_deploy.shipped_profiles import shipped_for_tgi

Language = Literal["en", "zh"]

# What the API's document recommends, as a card of the table of known ones.
DOCUMENTED = "1xRTX4060-8GB"
_SCOUT = "llama4"


@dataclass(frozen=True, kw_only=True)
class _Words:
    """What is written in one language."""

    columns: tuple[str, ...]
    verdicts: dict[PlanAnswer, str]
    documented: str


_WORDS: dict[Language, _Words] = {
    "en": _Words(
        columns=(
            "profile",
            "checkpoint",
            "weights",
            "GPUs",
            "weights on each",
            "KV cache, tokens",
            "largest context",
            "at once, at the profile's context",
            "verdict",
        ),
        verdicts={"fits": "fits", "tight": "tight", "no": "does not work", "unknown": "unknown"},
        documented="the 8 GB of the API's document",
    ),
    "zh": _Words(
        columns=(
            "配置文件",
            "检查点",
            "权重",
            "GPU",
            "每个 GPU 上的权重",
            "KV 缓存（词元）",
            "最长上下文",
            "按配置的上下文可同时处理",
            "结论",
        ),
        verdicts={"fits": "放得下", "tight": "勉强", "no": "放不下", "unknown": "未知"},
        documented="API 文档所说的 8 GB",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One plan.

    Args:
        profile: Its name; None for what the document recommends.
    """

    profile: str | None
    planner: Planner
    plan: FitPlan


def rows() -> tuple[Row, ...]:
    """Return a row for each shipped profile, Scout's first, and one for Scout on what the document recommends."""
    planned = [row for one in shipped_for_tgi() if (row := _row(one.name, one, gpus_of(one.profile.hardware)))]
    scouts = [row for row in planned if _architecture(row) == _SCOUT]
    smallest = min(scouts, key=_stored_bytes)
    least = Row(profile=None, planner=smallest.planner, plan=smallest.planner.on(read_gpus(DOCUMENTED)))
    return (*scouts, least, *(row for row in planned if _architecture(row) != _SCOUT))


def hardware_table(language: Language) -> str:
    """Return the table, a line for each row, with a line break at its end."""
    words = _WORDS[language]
    lines = [_line(words.columns), _line(("---",) * 2 + ("---:",) * 1 + ("---",) + ("---:",) * 4 + ("---",))]
    lines += [_line(tuple(_cells(row, words))) for row in rows()]
    return "".join(f"{line}\n" for line in lines)


def _row(name: str, shipped: Shipped, gpus: Sequence[PlanGpu] | None) -> Row | None:
    # A profile for whatever GPUs there are has no row.
    if gpus is None:
        return None
    planner = Planner(
        profile=shipped.profile,
        model=known_model(shipped.profile.model.id),
        adapter=planning_engine_for(shipped.profile.engine.kind),
    )
    return Row(profile=name, planner=planner, plan=planner.on(gpus))


def _architecture(row: Row) -> str | None:
    return None if row.planner.model is None else row.planner.model.facts.architecture


def _stored_bytes(row: Row) -> int:
    return 0 if row.planner.model is None else row.planner.model.stored_bytes


def _cells(row: Row, words: _Words) -> Iterator[str]:
    model, verdict = row.planner.model, row.plan.verdict
    yield words.documented if row.profile is None else f"`{row.profile}`"
    yield "" if model is None else model.name.rpartition("/")[2]
    yield "" if model is None else gb(model.stored_bytes)
    yield describe(row.plan.gpus)
    yield "" if verdict is None else gb(verdict.ledger.weights.total)
    if verdict is None or not verdict.works:
        yield from ("-",) * 3
    else:
        yield f"{verdict.kv_tokens:,}"
        yield f"{verdict.largest_context:,}"
        yield f"{verdict.sequences:,}"
    yield words.verdicts[row.plan.answer]


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
