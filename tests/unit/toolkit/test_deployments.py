"""Which deployment a command means when none is named."""

from pathlib import Path

import pytest

from scout_deploy.cli.deployments import Deployments
from scout_deploy.errors import DeploymentNotFoundError
from scout_deploy.runtimes.process_runtime import ProcessRuntime
from scout_deploy.xdg import UserDirectories


def declared(folder: Path, *names: str) -> Deployments:
    directories = UserDirectories(state=folder, config=folder)
    for name in names:
        (directories.deployments / name).mkdir(parents=True)
        (directories.deployments / name / "deployment.json").write_text("{}", encoding="utf-8")
    return Deployments(processes=ProcessRuntime(directories), containers=None)


def test_the_default_one_is_meant_among_several(tmp_path: Path) -> None:
    assert declared(tmp_path, "another", "scout").choose(None, usage="logs NAME") == "scout"


def test_the_only_one_is_meant_whatever_its_name(tmp_path: Path) -> None:
    assert declared(tmp_path, "another").choose(None, usage="logs NAME") == "another"


def test_among_several_others_one_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(DeploymentNotFoundError, match="several deployments: another, third") as caught:
        declared(tmp_path, "another", "third").choose(None, usage="logs NAME")

    assert caught.value.next_step == "name one: scout-deploy logs NAME"


def test_an_unknown_name_is_told_from_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DeploymentNotFoundError) as caught:
        declared(tmp_path, "scout").choose("nosuch", usage="generate PROMPT --name NAME")

    assert caught.value.message == "no deployment is named 'nosuch'; there are: scout"
    assert caught.value.next_step == "name one: scout-deploy generate PROMPT --name NAME"
