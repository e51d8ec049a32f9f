"""All checks together, and what they mean. Pure."""

from collections.abc import Mapping

from scout_deploy.doctor.docker_checks import docker_checks
from scout_deploy.doctor.facts import DaemonSeen, Facts
from scout_deploy.doctor.gpu_checks import gpu_checks
from scout_deploy.doctor.machine_checks import machine_checks
from scout_deploy.doctor.outcome import Diagnosis, EngineKind, Importance, Outcome, diagnose
from scout_deploy.profile.profile import Profile


def examine(facts: Facts, profile: Profile | None = None) -> Diagnosis:
    """Judge a machine, for one profile or for whatever it can run."""
    return diagnose(tuple(_outcomes(facts, profile)), _importance(facts, profile))


def _outcomes(facts: Facts, profile: Profile | None) -> list[Outcome]:
    outcomes = [*docker_checks(facts.daemon), *gpu_checks(facts, profile), *machine_checks(facts)]
    if profile is None:
        return outcomes
    # What the profile's engine has no use for would only distract.
    return [outcome for outcome in outcomes if profile.engine.kind in outcome.concerns]


def _importance(facts: Facts, profile: Profile | None) -> Mapping[EngineKind, Importance]:
    if profile is not None:
        others: Importance = "unneeded"
        return {
            "embedded": "required" if profile.engine.kind == "embedded" else others,
            "tgi": "required" if profile.engine.kind == "tgi" else others,
        }
    has_gpus = bool(facts.inventory.gpus or facts.inventory.loaded or facts.inventory.problem)
    is_remote = isinstance(facts.daemon, DaemonSeen) and not facts.daemon.host.is_local
    return {"embedded": "wanted", "tgi": "wanted" if has_gpus or is_remote else "unneeded"}
