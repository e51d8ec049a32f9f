"""A start that failed: its evidence is kept, its cause is named, and the engines are stopped but not removed."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings, ProfileEdit
from scout_deploy.errors import DeployError, EngineExitedError
from scout_deploy.evidence import save_evidence

_DEFAULT_NAME = "scout"


@dataclass(frozen=True, kw_only=True)
class UpCommand:
    """The command that starts a deployment again.

    Args:
        overrides: What was given with `--set`.
        replaces: The deployment serves, so that other settings need an exchange.
    """

    profile: str
    name: str
    overrides: Sequence[str] = ()
    replaces: bool = False

    @property
    def text(self) -> str:
        """The command as a shell takes it."""
        own = "" if self.name == _DEFAULT_NAME else f" --name {self.name}"
        exchange = " --replace" if self.replaces else ""
        return f"scout-deploy up --profile {shlex.quote(self.profile)}{own}{exchange}" + "".join(
            f" --set {shlex.quote(one)}" for one in self.overrides
        )

    def with_edit(self, edit: ProfileEdit) -> str:
        """Return the command with this edit, which takes the place of what was given for the same key before."""
        others = [one for one in self.overrides if one.partition("=")[0].strip() != edit.dotted_key]
        return f"{replace(self, overrides=others).text} {edit.text}"


def failed(diagnosis: Diagnosis, *, command: UpCommand, evidence_file: Path | None) -> DeployError:
    """Return the error that a user sees, of the class that has the diagnosis's exit status."""
    kinds = {kind.exit_code: kind for kind in DeployError.__subclasses__()}
    kind = kinds.get(diagnosis.exit_code, EngineExitedError)
    evidence = diagnosis.evidence
    if evidence_file is not None:
        evidence = (*evidence, f"all of it: {evidence_file}")
    return kind(diagnosis.cause, next_step=next_step(diagnosis, command), evidence=evidence)


def next_step(diagnosis: Diagnosis, command: UpCommand) -> str | None:
    """Return the one thing to do now: the command with the profile edit, where an edit helps."""
    if not diagnosis.edits:
        return diagnosis.next_step
    first, *others = diagnosis.edits
    step = f"{command.with_edit(first)}  ({first.why})"
    for edit in others:
        step += f"\n  or {edit.text}  ({edit.why})"
    return f"{step}\n  or {diagnosis.next_step}" if diagnosis.next_step else step


def keep_evidence(
    folder: Path,
    *,
    container: str,
    profile: str,
    overrides: Sequence[str] = (),
    settings: EngineSettings,
    death: Death,
    diagnosis: Diagnosis,
) -> Path | None:
    """Write what is known of a death where it outlives its container; None where the disk refuses."""
    now_s = time.time()
    facts = {
        "at_s": now_s,
        "container": container,
        "profile": profile,
        "overrides": list(overrides),
        "exit_code": death.exit_code,
        "oom_killed": death.oom_killed,
        "signal": death.signal,
        "error": death.error,
        "phase": death.phase,
        "was_ready": death.was_ready,
        "timed_out": death.timed_out,
        "silent_s": death.silent_s,
        "diagnosis": asdict(diagnosis),
        "settings": asdict(settings),
        "log": list(death.lines),
    }
    return save_evidence(folder, role="engine", at_s=now_s, facts=facts)
