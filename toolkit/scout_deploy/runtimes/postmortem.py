"""What can still be known of an engine that died: its container, the daemon's memory, or kept evidence."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from scout_deploy.containers import labels
from scout_deploy.containers.log_lines import LogLine, parse_log
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import EngineSettings
from scout_deploy.engines.container_engine import ContainerEngine
from scout_deploy.evidence import newest_evidence
from scout_deploy.runtimes.container_watch import KEPT_LINES
from scout_deploy.runtimes.docker_engine import DockerEngine

_LOG_LINES = 2_000
_REMEMBERED_S = 7 * 24 * 3600.0
_SETTINGS = {field.name for field in fields(EngineSettings)}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One death.

    Args:
        source: Where it is known from, in words.
        at_s: Seconds since the epoch; None where it is not known.
        settings: What an edit is computed from, where the evidence keeps it.
        profile: As the user named it, where that is known.
        overrides: What was given with `--set`.
    """

    container: str
    death: Death
    source: str
    at_s: float | None = None
    settings: EngineSettings | None = None
    profile: str | None = None
    overrides: tuple[str, ...] = ()


def find_death(engine: DockerEngine, container: ObservedContainer, adapter: ContainerEngine) -> Found | None:
    """Return the last death of this container; None where it never died, or nothing of it is left."""
    if container.has_ended:
        lines = _texts(parse_log(engine.log(container.name, tail=KEPT_LINES)))
        death = Death(
            exit_code=container.exit_code,
            oom_killed=container.oom_killed,
            error=container.error,
            lines=lines,
            phase=_phase(adapter, lines),
            was_ready=container.policy != "no",
        )
        return Found(
            container=container.name,
            death=death,
            source="the container, which ended",
            at_s=container.finished_s,
            profile=container.labels.get(labels.PROFILE),
            overrides=labels.read_overrides(container.labels),
        )
    if not container.restarts or container.started_s is None:
        return None
    return _earlier_death(engine, container, adapter, container.started_s)


def _earlier_death(
    engine: DockerEngine, container: ObservedContainer, adapter: ContainerEngine, started_s: float
) -> Found:
    """Look behind the last restart: the log goes on in the container, the exit status only the daemon remembers."""
    before = [
        line
        for line in parse_log(engine.log(container.name, tail=_LOG_LINES))
        if line.at_s is not None and line.at_s < started_s
    ]
    lines = _texts(before)[-KEPT_LINES:]
    ends = engine.ends(container.id, since_s=max(0.0, time.time() - _REMEMBERED_S))
    last, was_oom = last_end(ends)
    death = Death(
        exit_code=None if last is None else int(last["exitCode"]),
        oom_killed=was_oom,
        lines=lines,
        phase=_phase(adapter, lines),
        was_ready=True,
    )
    at_s = float(last["time_s"]) if last is not None else (before[-1].at_s if before else None)
    return Found(
        container=container.name,
        death=death,
        source="its log before the last restart",
        at_s=at_s,
        profile=container.labels.get(labels.PROFILE),
        overrides=labels.read_overrides(container.labels),
    )


def last_end(ends: Sequence[Mapping[str, str]]) -> tuple[Mapping[str, str] | None, bool]:
    """Return the last death, and whether memory ran out in the life that it ended.

    Args:
        ends: Events `die` and `oom` of one container, the oldest first.
    """
    deaths = [number for number, end in enumerate(ends) if end["event"] == "die"]
    began = deaths[-2] + 1 if len(deaths) > 1 else 0
    return ends[deaths[-1]] if deaths else None, any(end["event"] == "oom" for end in ends[began:])


def present_evidence(folder: Path, containers: Sequence[ObservedContainer]) -> dict[str, Any] | None:
    """Return the newest evidence, unless the engines that are there were made after it: then it is of earlier ones."""
    kept = newest_evidence(folder)
    engines = [one for one in containers if one.labels.get(labels.ROLE) == "engine"]
    made_s = max((one.created_s for one in engines or containers), default=0.0)
    return kept if kept is not None and float(kept.get("at_s") or 0.0) >= made_s else None


def death_of_evidence(facts: Mapping[str, Any]) -> Found | None:
    """Return the death that a file of evidence tells of; None where it is another kind of file."""
    if "container" not in facts or not isinstance(facts.get("log"), list):
        return None
    death = Death(
        exit_code=facts.get("exit_code"),
        oom_killed=bool(facts.get("oom_killed")),
        error=str(facts.get("error") or ""),
        lines=tuple(map(str, facts["log"])),
        phase=facts.get("phase"),
        was_ready=bool(facts.get("was_ready")),
        timed_out=bool(facts.get("timed_out")),
        silent_s=facts.get("silent_s"),
    )
    kept = facts.get("settings")
    return Found(
        container=str(facts["container"]),
        death=death,
        source=f"the evidence in {facts.get('file')}",
        at_s=facts.get("at_s"),
        settings=EngineSettings(**kept) if isinstance(kept, dict) and kept.keys() == _SETTINGS else None,
        profile=facts.get("profile"),
        overrides=tuple(map(str, facts.get("overrides") or ())),
    )


def _texts(lines: list[LogLine]) -> tuple[str, ...]:
    return tuple(line.text for line in lines)


def _phase(adapter: ContainerEngine, lines: tuple[str, ...]) -> str | None:
    phases = [phase.name for line in lines if (phase := adapter.read_phase(line)) is not None]
    return phases[-1] if phases else None
