"""What a soak saw, and what it comes to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from proxy_bench.verdict import Verdict

_MB = 1_000_000
_RSS_GOAL_MB = 5.0
# The pool keeps a few idle connections to the engine for a while.
_DESCRIPTOR_GOAL = 4
_MOST_EXAMPLES = 20
# What a process that has just started still grows by would be taken for a leak.
_SHORTEST_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look at the proxy and the engine while the load goes on."""

    at_s: float
    rss_bytes: int
    descriptors: int
    proxy_in_flight: int
    engine_in_flight: int


@dataclass
class Findings:
    """Filled while the soak runs.

    Args:
        answers: How many requests of each kind went as they should.
        errors: How many did not, by kind and cause.
        examples: The first of each cause, in full.
    """

    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def fail(self, kind: str, cause: str, detail: str) -> None:
        """Record a request that did not go as it should."""
        key = f"{kind}: {cause}"
        self.errors[key] += 1
        if self.errors[key] == 1 and len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(f"{key}: {detail[:500]}")


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What was there before the load and what is left a while after it."""

    descriptors_before: int
    descriptors_after: int
    proxy_in_flight: int
    engine_in_flight: int


def judge(findings: Findings, rest: Rest) -> tuple[Verdict, ...]:
    """Say whether it went without errors and without leaks."""
    errors, answers = findings.errors.total(), findings.answers.total()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(findings.answers.items()))
    open_more = rest.descriptors_after - rest.descriptors_before
    in_flight = rest.proxy_in_flight + rest.engine_in_flight
    return (
        Verdict(
            what="errors",
            goal="none",
            value=f"{errors:,} in {errors + answers:,}",
            is_met=errors == 0 and answers > 0,
            note=kinds,
        ),
        _memory(findings.samples),
        Verdict(
            what="open files and sockets, after",
            goal=f"at most {_DESCRIPTOR_GOAL} more than before",
            value=f"{open_more} more",
            is_met=open_more <= _DESCRIPTOR_GOAL,
            note=f"{rest.descriptors_before} before",
        ),
        Verdict(
            what="requests in flight, after",
            goal="none",
            value=str(in_flight),
            is_met=in_flight == 0,
            note=f"proxy {rest.proxy_in_flight}, engine {rest.engine_in_flight}",
        ),
    )


def _memory(samples: Sequence[Sample]) -> Verdict:
    goal = f"at most {_RSS_GOAL_MB:g} MB more in the last fifth than in the second"
    if not samples or samples[-1].at_s - samples[0].at_s < _SHORTEST_S:
        return Verdict(what="memory", goal=goal, value="-", is_met=None, note="too short to tell")
    fifth = len(samples) // 5
    before, after = (
        median(sample.rss_bytes for sample in part) / _MB for part in (samples[fifth : 2 * fifth], samples[-fifth:])
    )
    most = max(sample.rss_bytes for sample in samples) / _MB
    return Verdict(
        what="memory",
        goal=goal,
        value=f"{after - before:+.1f} MB",
        is_met=after - before <= _RSS_GOAL_MB,
        note=f"from {before:.1f} to {after:.1f} MB, at most {most:.1f} MB",
    )
