"""Names the cause of a death, or says that it is not known."""

import signal
from collections.abc import Sequence

from scout_deploy.diagnosis.death import Death
from scout_deploy.diagnosis.diagnosis import Diagnosis, EngineSettings
from scout_deploy.diagnosis.docker import docker_signatures
from scout_deploy.diagnosis.evidence import last_lines
from scout_deploy.diagnosis.machine import host_memory_signature, machine_signatures
from scout_deploy.diagnosis.model import model_signatures
from scout_deploy.diagnosis.signature import Signature

UNKNOWN = "unknown"
_IMAGE = 4
_EXITED = 7
_TIMED_OUT = 8


def diagnose(death: Death, settings: EngineSettings, signatures: Sequence[Signature]) -> Diagnosis:
    """Return what the first signature that matches says of a death; where none does, only the facts.

    Args:
        signatures: The most specific first; see `all_signatures`.
    """
    for signature in signatures:
        if (evidence := signature.matcher(death)) is not None:
            return signature.explain(death, settings, evidence)
    return _unknown(death)


def all_signatures(engine: Sequence[Signature]) -> tuple[Signature, ...]:
    """Return an engine's own signatures among those of Docker, the model's files and the machine, in their order.

    What fails on one GPU makes the others fail at talking to it, so whatever stands for the talking comes last.
    """
    return (host_memory_signature(), *docker_signatures(), *engine, *model_signatures(), *machine_signatures())


def _unknown(death: Death) -> Diagnosis:
    evidence = (death.error, *last_lines(death)) if death.error else last_lines(death)
    return Diagnosis(
        name=UNKNOWN,
        cause=_facts(death),
        evidence=evidence,
        exit_code=_exit_code(death),
    )


def _exit_code(death: Death) -> int:
    if death.timed_out:
        return _TIMED_OUT
    return _IMAGE if death.phase is not None and "pull" in death.phase else _EXITED


def _facts(death: Death) -> str:
    where = f" in the phase '{death.phase}'" if death.phase else ""
    if death.timed_out:
        silent = f", and wrote nothing for the last {death.silent_s:.0f} s" if death.silent_s is not None else ""
        return f"the engine was not ready in time{where}{silent}; its log names no cause known here"
    if death.exit_code is None and death.error:
        return f"the Docker daemon refused{where}; its words name no cause known here"
    if death.exit_code is None:
        silent = f" and wrote nothing for {death.silent_s:.0f} s" if death.silent_s is not None else ""
        return f"the engine still runs{where}{silent}; its log names no cause known here"
    after = " after it had served" if death.was_ready else ""
    return f"the engine ended{where}{after} with {_status(death)}; its log names no cause known here"


def _status(death: Death) -> str:
    if death.signal is None:
        return f"exit status {death.exit_code}"
    try:
        name = signal.Signals(death.signal).name
    except ValueError:
        name = "unnamed"
    return f"exit status {death.exit_code} (signal {death.signal}, {name})"
