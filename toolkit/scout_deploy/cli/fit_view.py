"""What `scout-deploy plan` shows: the verdict first, then who gets how much of each GPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from scout_deploy.cli.output import Output
from scout_deploy.fit.correction import Correction
from scout_deploy.fit.gpu_kind import KNOWN, PlanGpu, describe
from scout_deploy.fit.ledger import Ledger
from scout_deploy.fit.verdict import Verdict, gb
from scout_deploy.fit_plan import FitPlan, Planner
from scout_deploy.profile.engine import Hardware

_BAR = 40
HEADS = {"fits": "FITS", "tight": "TIGHT", "no": "DOES NOT WORK", "unknown": "UNKNOWN"}
_STYLES = {"fits": "bold green", "tight": "bold yellow", "no": "bold red", "unknown": "bold yellow"}
_ORDER = ("fits", "tight", "unknown", "no")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A profile's plan.

    Args:
        origin: Why it was made for these GPUs.
        would_do: Plans on other GPUs that work.
        nearest: A shipped profile that works on these GPUs.
    """

    name: str
    planner: Planner
    plan: FitPlan
    origin: str = ""
    would_do: tuple[FitPlan, ...] = ()
    nearest: str | None = None

    @property
    def weights_bytes(self) -> int:
        """Of the whole model; 0 where nothing is known."""
        return 0 if self.planner.model is None else self.planner.model.stored_bytes


def show_fit(output: Output, shown: Shown) -> None:
    """Print one plan."""
    output.document(_document(shown))
    plan = shown.plan
    first, *more = plan.reason.splitlines()
    output.line(f"{HEADS[plan.answer]}: {shown.name}: {first}", style=_STYLES[plan.answer])
    for line in more:
        output.line(f"  {line}")
    for line in _advice(shown):
        output.line(f"next: {line}")
    output.line()
    for title, text in _facts(shown):
        output.line(f"{title:<18}{text}")
    if plan.verdict is not None:
        output.line()
        _show_ledger(output, shown.planner, plan)
    for remark in (plan.correction.left_out, *plan.remarks):
        if remark is not None:
            output.line(f"note: {remark}", style="yellow")


def _advice(shown: Shown) -> Iterator[str]:
    for one in shown.would_do:
        context = "" if one.verdict is None else f", {one.verdict.kv_tokens:,} tokens of KV cache"
        settings = " ".join(_settings(shown.planner.profile.hardware, one.gpus))
        yield f"{describe(one.gpus)} would do ({settings}){context}"
    if shown.nearest is not None:
        yield f"on {describe(shown.plan.gpus)} works the profile '{shown.nearest}'"
    if shown.plan.answer == "no" and shown.plan.gpus[0].is_cpu:
        yield from _advice_on_cpu(shown)
    elif shown.plan.answer == "no" and not shown.would_do and shown.nearest is None and shown.plan.is_about_memory:
        yield "no box of up to eight known GPUs would do; choose a checkpoint that is quantized"
    verdict = shown.plan.verdict
    if verdict is not None and not verdict.works and 0 < verdict.largest_context < verdict.context:
        yield f"--set engine.context_length={verdict.largest_context} would fit"
    elif verdict is not None and verdict.context > verdict.context_limit:
        yield f"plan again with --context {verdict.context_limit}: memory is short too"


def _settings(hardware: Hardware, gpus: Sequence[PlanGpu]) -> Iterator[str]:
    """Yield what a profile for other GPUs needs to be set to for these."""
    yield f"--set hardware.gpu_count={len(gpus)}"
    known = next((one for one in KNOWN if one.name == gpus[0].name), None)
    if known is not None and hardware.gpu_kind not in {None, known.kind}:
        yield f"--set hardware.gpu_kind={known.kind}"
    if known is not None and hardware.gpu_memory_gb not in {None, known.sold_gb}:
        yield f"--set hardware.gpu_memory_gb={known.sold_gb}"


def _advice_on_cpu(shown: Shown) -> Iterator[str]:
    verdict = shown.plan.verdict
    if verdict is not None and verdict.missing:
        yield f"a machine with about {gb(shown.planner.least_memory(shown.plan))} of free memory would do"
    yield "GGUF files, which are smaller, are served on a CPU with engine.kind: embedded (profile 'cpu-gguf')"


def _facts(shown: Shown) -> Iterator[tuple[str, str]]:
    model, verdict = shown.planner.model, shown.plan.verdict
    if model is not None:
        yield "model", f"{model.name}, {gb(model.stored_bytes)} of weights ({model.source})"
    yield "planned for", describe(shown.plan.gpus) + (f" ({shown.origin})" if shown.origin else "")
    if verdict is None or not verdict.works:
        return
    where = "" if shown.plan.gpus[0].is_cpu else " on each GPU"
    yield "KV cache", f"{verdict.kv_tokens:,} tokens, {verdict.ledger.kv_token:,} bytes each{where}"
    yield "at full context", f"{verdict.sequences:,} sequences of {verdict.context:,} tokens"
    yield "largest context", f"{verdict.largest_context:,} tokens{_ceiling(shown.planner, verdict)}"
    yield "largest prefill", f"{verdict.largest_prefill:,} tokens in one step (engine.max_batch_prefill_tokens)"


def _ceiling(planner: Planner, verdict: Verdict) -> str:
    if verdict.largest_context == verdict.kv_tokens or planner.model is None:
        return ""
    if verdict.largest_context == planner.model.shape.max_positions:
        return ", the model's own limit"
    return ", beyond which the engine's answers depart from the model's; memory alone would hold more"


def _show_ledger(output: Output, planner: Planner, plan: FitPlan) -> None:
    if output.as_json or plan.verdict is None:
        return
    book = plan.verdict.ledger
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    place = "memory" if plan.gpus[0].is_cpu else "each GPU"
    table.add_column(f"{place}: {gb(book.total)}", no_wrap=True)
    table.add_column("GB", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    for what, size, words in _entries(book, planner, plan):
        length = min(_BAR, round(_BAR * max(0, size) / book.total))
        style = "red" if size > book.total else "cyan"
        table.add_row(what, f"{size / 1e9:.1f}", Text("#" * length, style=style), Text(words, style="dim"))
    output.console.print(table, soft_wrap=not output.console.is_terminal)


def _entries(book: Ledger, planner: Planner, plan: FitPlan) -> Iterator[tuple[str, int, str]]:
    yield "  other processes", book.held, ""
    if plan.gpus[0].is_cpu:
        yield "  engine itself", book.context, "launcher, router, Python with PyTorch"
    else:
        words = "context, kernels, workspaces" + (", NCCL" if len(plan.gpus) > 1 else "")
        yield "  CUDA and libraries", book.context, words
    whole = f", of which each GPU holds {gb(book.weights.whole)} whole" if len(plan.gpus) > 1 else ""
    yield "  weights", book.weights.total, f"by the tensors' own number formats{whole}"
    yield "  a prompt's step", book.step, _step_words(planner, plan)
    if book.correction.starts:
        yield "  learnt here", book.correction.size, book.correction.origin
    yield "  KV cache", book.kv, "missing" if book.kv < 0 else f"{book.kv_tokens:,} tokens"
    graphs = f"; recorded graphs ({gb(book.graphs)}) live here" if book.graphs else ""
    yield "  kept back", book.reserve, f"by the engine's own rule{graphs}"


def _step_words(planner: Planner, plan: FitPlan) -> str:
    engine = planner.memory(plan.gpus)
    if planner.model is None or engine is None:
        return ""
    dense = f"; all {planner.model.shape.experts} experts for every token" if engine.experts != "routed" else ""
    return f"{engine.prefill_tokens:,} tokens ({engine.prefill_from}){dense}"


def show_ranking(output: Output, rows: Sequence[Shown]) -> None:
    """Print many plans on the same GPUs: what works first, and of that the most exact weights."""
    ranked = sorted(rows, key=_rank)
    output.document({"plans": [_document(one) for one in ranked]})
    if output.as_json:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("profile", "verdict", "GPUs"):
        table.add_column(heading, no_wrap=True)
    for heading in ("weights", "KV tokens", "context", "sequences"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why not")
    for one in ranked:
        verdict = one.plan.verdict if one.plan.works else None
        numbers = ("-",) * 3
        if verdict is not None:
            numbers = (f"{verdict.kv_tokens:,}", f"{verdict.context:,}", f"{verdict.sequences:,}")
        reason = "" if one.plan.answer == "fits" else one.plan.reason.splitlines()[-1]
        head = Text(HEADS[one.plan.answer].lower(), style=_STYLES[one.plan.answer])
        table.add_row(one.name, head, describe(one.plan.gpus), gb(one.weights_bytes), *numbers, reason)
    output.console.print(table, soft_wrap=not output.console.is_terminal)


def _rank(one: Shown) -> tuple[int, int, int]:
    tokens = 0 if one.plan.verdict is None else one.plan.verdict.kv_tokens
    return _ORDER.index(one.plan.answer), -one.weights_bytes, -tokens


def _document(shown: Shown) -> dict[str, Any]:
    plan, model = shown.plan, shown.planner.model
    return {
        "profile": shown.name,
        "model": None if model is None else {"name": model.name, "bytes": model.stored_bytes, "source": model.source},
        **fit_document(plan, shown.origin),
        "would_do": [{"gpus": describe(one.gpus), "count": len(one.gpus)} for one in shown.would_do],
        "nearest_profile": shown.nearest,
        "remarks": list(plan.remarks),
    }


def fit_document(plan: FitPlan, origin: str) -> dict[str, Any]:
    """Return the verdict and its numbers, as JSON has them."""
    return {
        "verdict": plan.answer,
        "reason": plan.reason,
        "gpus": [{"name": one.name, **_memory_of(one)} for one in plan.gpus if not one.is_cpu],
        "memory": next((_memory_of(one) for one in plan.gpus if one.is_cpu), None),
        "gpus_from": origin or None,
        "fit": None if plan.verdict is None else _numbers(plan.verdict),
        "correction": correction_document(plan.correction),
    }


def _memory_of(one: PlanGpu) -> dict[str, int]:
    return {"total_bytes": one.total_bytes, "held_bytes": one.held_bytes}


def correction_document(correction: Correction) -> dict[str, Any] | None:
    """Return what earlier starts taught, as JSON has it; None where there were none."""
    if not correction.starts and not correction.ignored:
        return None
    return {
        "bytes": correction.size,
        "starts": correction.starts,
        "of": correction.kin if correction.starts else None,
        "newest": correction.newest_day if correction.starts else None,
        "left_out": correction.ignored,
    }


def _numbers(verdict: Verdict) -> dict[str, Any]:
    book = verdict.ledger
    return {
        "context": verdict.context,
        "kv_tokens": verdict.kv_tokens,
        "sequences": verdict.sequences,
        "largest_context": verdict.largest_context,
        "largest_prefill": verdict.largest_prefill,
        "missing_bytes": verdict.missing,
        "each_gpu": {
            "total_bytes": book.total,
            "held_bytes": book.held,
            "context_bytes": book.context,
            "weights_bytes": book.weights.total,
            "weights_whole_bytes": book.weights.whole,
            "step_bytes": book.step,
            "kv_bytes": book.kv,
            "kv_token_bytes": book.kv_token,
            "correction_bytes": book.correction.size,
            "reserve_bytes": book.reserve,
            "graphs_bytes": book.graphs,
        },
    }
