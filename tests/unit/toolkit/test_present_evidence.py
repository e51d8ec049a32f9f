"""Which evidence is of the containers that are there."""

from pathlib import Path

import pytest

from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.evidence import save_evidence
from scout_deploy.runtimes.postmortem import present_evidence


def container(role: str, created_s: float) -> ObservedContainer:
    return ObservedContainer(
        id=role, name=f"scout-{role}", status="exited", labels={"scout.role": role}, created_s=created_s
    )


@pytest.mark.parametrize(
    ("engine_s", "is_present"), [(90.0, True), (110.0, False)], ids=["made before it", "made after it"]
)
def test_evidence_is_of_the_engines_that_were_there_when_it_was_kept(
    tmp_path: Path, engine_s: float, is_present: bool
) -> None:
    save_evidence(tmp_path, role="engine", at_s=100.0, facts={"at_s": 100.0, "container": "scout-engine"})

    found = present_evidence(tmp_path, (container("proxy", 50.0), container("engine", engine_s)))

    assert (found is not None) is is_present


def test_evidence_from_before_the_proxy_says_nothing_of_a_deployment_without_engines(tmp_path: Path) -> None:
    save_evidence(tmp_path, role="engine", at_s=100.0, facts={"at_s": 100.0, "container": "scout-engine"})

    assert present_evidence(tmp_path, (container("proxy", 150.0),)) is None
    assert present_evidence(tmp_path, (container("proxy", 50.0),)) is not None
