"""What `up --dry-run` shows of containers."""

import json

import pytest

from fakes.tgi_requests import shipped_profile
from scout_deploy.cli.output import Output
from scout_deploy.cli.plan_view import show_plan
from scout_deploy.container_draft import Wish, draft
from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.served_model import ServedModel
from scout_proxy.route_table import Template


def plan(snapshot: str = "COMMIT") -> ContainerDeployment:
    profile = shipped_profile("h100-8bit")
    mount = Mount(kind="bind", source="/cache/models--a--b", target="/weights/models--a--b", read_only=True)
    weights = Weights(mount=mount, path=f"/weights/models--a--b/snapshots/{snapshot}")
    model = ServedModel(weights=weights, facts=known_facts(profile.model.id) or ModelFacts(), template=Template())
    wish = Wish(profile=profile, profile_name="h100-8bit", name="blue", version="9.9.9")
    return draft(wish, container_engine_for("tgi"), model)


def test_a_person_is_shown_every_container_whole(capsys: pytest.CaptureFixture[str]) -> None:
    deployment = plan()

    show_plan(Output(), deployment)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Deployment 'blue' from profile 'h100-8bit', in containers; nothing was started."
    assert "note: COMMIT stands for the model's commit, which is resolved at the start" in lines
    assert "network        scout-blue" in lines
    assert "volume         scout-blue-routes" in lines
    assert [line for line in lines if line.startswith("scout-blue-")] == ["scout-blue-proxy", "scout-blue-engine-1-0"]
    for expected in (
        f"  image        {deployment.proxy.image}",
        "  published    127.0.0.1:2025 -> 2025",
        "  rights       read-only root, user 65532, capabilities none",
        "  image        ghcr.io/huggingface/text-generation-inference:3.3.7",
        "  environment  NUM_SHARD=2",
        "  GPUs         nvidia 0, 1 by device-request",
        "  mount        /cache/models--a--b -> /weights/models--a--b (bind, read-only)",
        "  shm          2 GB",
        "  rights       user of the image, capabilities none",
    ):
        assert expected in lines
    assert all(f"note: {remark}" in lines for remark in deployment.remarks)


def test_a_directory_that_is_called_commit_stands_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(Output(), plan("COMMITTED"))

    assert "stands for" not in capsys.readouterr().out


def test_a_program_is_given_the_whole_plan(capsys: pytest.CaptureFixture[str]) -> None:
    deployment = plan()

    show_plan(Output(as_json=True), deployment)

    document = json.loads(capsys.readouterr().out)
    assert document.pop("fit") is None
    assert ContainerDeployment.model_validate(document) == deployment
