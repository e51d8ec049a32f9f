"""What a check found, and what that means for what the user wants to run. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EngineKind = Literal["embedded", "tgi"]
State = Literal["good", "doubtful", "bad"]
Level = Literal["ok", "warning", "problem", "not needed"]
Importance = Literal["required", "wanted", "unneeded"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one check found.

    Args:
        check: Its name, such as `docker`.
        state: `bad` stops the engines that it concerns; `doubtful` may.
        fact: What was seen.
        fix: What would help; None where nothing has to be done.
        concerns: The engines that need it.
    """

    check: str
    state: State
    fact: str
    fix: str | None = None
    concerns: tuple[EngineKind, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the answer."""

    check: str
    level: Level
    fact: str
    fix: str | None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The answer.

    Args:
        works: Whether each engine can run here, as far as the checks can see.
        missing: For each engine, the checks that stop it.
    """

    findings: tuple[Finding, ...]
    works: Mapping[EngineKind, bool]
    missing: Mapping[EngineKind, tuple[str, ...]]

    @property
    def is_healthy(self) -> bool:
        """Whether what is to run can run."""
        return not any(finding.level == "problem" for finding in self.findings)


def diagnose(outcomes: tuple[Outcome, ...], importance: Mapping[EngineKind, Importance]) -> Diagnosis:
    """Judge what the checks found.

    Args:
        importance: Of each engine: a profile's is `required`; without a profile those that fit the machine are
            `wanted`, and only a machine where none of them works has a problem.
    """
    missing: dict[EngineKind, tuple[str, ...]] = {
        engine: tuple(one.check for one in outcomes if one.state == "bad" and engine in one.concerns)
        for engine in importance
    }
    works = {engine: not missing[engine] for engine in importance}
    nothing_works = "required" not in importance.values() and not any(works.values())
    findings = tuple(
        Finding(check=one.check, level=_level(one, importance, nothing_works=nothing_works), fact=one.fact, fix=one.fix)
        for one in outcomes
    )
    return Diagnosis(findings=findings, works=works, missing=missing)


def _level(outcome: Outcome, importance: Mapping[EngineKind, Importance], *, nothing_works: bool) -> Level:
    if outcome.state == "good":
        return "ok"
    ranks = {importance[engine] for engine in outcome.concerns}
    if outcome.state == "bad" and ("required" in ranks or (nothing_works and "wanted" in ranks)):
        return "problem"
    return "warning" if ranks & {"required", "wanted"} else "not needed"
