"""Images that `up` pulls: how far it is, what stays the same later, and a registry that does not give them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import requests

from fakes.container_case import ContainerCase, events_of, wait_until, write_profile
from fakes.image_registry import ImageRegistry, Manner, Refusal, image_registry
from fakes.registry_image import made_up_image

pytestmark = pytest.mark.docker

_IMAGE, _ENGINE = 4, 7
_LAYERS = [400_000, 600_000]

Images = Callable[..., str]


@pytest.fixture
def registry(docker_engine: docker.DockerClient) -> Iterator[ImageRegistry]:
    with image_registry() as running:
        yield running
        # Not the library's list, which asks for each of them again: another test may have removed it meanwhile.
        for image in docker_engine.api.images():
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            if any(name.startswith(running.address) for name in names):
                docker_engine.images.remove(image["Id"], force=True)


@pytest.fixture
def profile(tmp_path: Path, demo_weights: Path, base_image: str, free_port: int) -> Path:
    return write_profile(
        tmp_path / "pulled.yaml", model=f"path: {demo_weights}", image="none", base_image=base_image, port=free_port
    )


def test_a_pull_shows_its_layers_and_its_digest_is_kept_when_the_tag_moves(
    case: ContainerCase, registry: ImageRegistry
) -> None:
    # Between the end of the one layer and of the other lie seconds: an event comes every second.
    first, second = made_up_image([200_000, 1_200_000]), made_up_image(_LAYERS)
    reference = registry.add("team/engine", "1.0", first, Manner(bytes_per_s=250_000))

    pulled = case.up("--json", "--set", f"engine.image={reference}")
    meant = case.container().attrs["Config"]["Image"]
    registry.add("team/engine", "1.0", second)
    again = case.up("--set", f"engine.image={reference}")

    steps = [event for event in events_of(pulled) if event.get("phase") == "pull image"]
    percents = [step["percent"] for step in steps if step["percent"] is not None]
    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents)
    assert any("layer 1 of 2" in step["detail"] for step in steps)
    assert meant == f"{registry.address}/team/engine@{first.digest}"
    assert case.container().attrs["Config"]["Image"] == meant
    assert "pull image" not in again.stdout
    # It holds nothing that can run, which is the daemon's word and no bug of ours.
    assert (pulled.returncode, again.returncode) == (_ENGINE, _ENGINE)
    assert "/layer-0" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_lock_keeps_the_registrys_digest_before_anything_is_pulled_and_a_tag_that_moves_changes_nothing(
    case: ContainerCase, registry: ImageRegistry
) -> None:
    first, second = made_up_image(_LAYERS), made_up_image(_LAYERS)
    image = ("--set", f"engine.image={registry.add('team/engine', '1.0', first)}")
    closed = registry.add("team/secret", "1", first, Manner(refusal="denied"))
    digest = f"{registry.address}/team/engine@{first.digest}"

    refused = case.cli.run("lock", "--profile", str(case.profile), "--set", f"engine.image={closed}")
    locked = case.cli.run("lock", "--profile", str(case.profile), *image, "--json")
    registry.add("team/engine", "1.0", second)
    started = case.up("--locked", "--json", *image)

    assert refused.returncode == _IMAGE
    assert f"what {closed} is now cannot be found out" in refused.stderr
    assert f"next: docker pull {closed} on the Docker host, then lock again" in refused.stderr
    assert locked.returncode == 0, locked.stderr
    # Nothing was pulled for it, so there is no id yet.
    assert json.loads(locked.stdout)["lock"]["image"] == {
        "reference": f"{registry.address}/team/engine:1.0",
        "digest": digest,
    }
    # It holds nothing that can run, which is the daemon's word and no bug of ours.
    assert started.returncode == _ENGINE, started.stdout + started.stderr
    assert next(one["detail"] for one in events_of(started) if one.get("phase") == "pull image") == digest
    assert case.container().attrs["Config"]["Image"] == digest

    path = case.profile.with_suffix(".lock")
    path.write_text(path.read_text(encoding="utf-8").replace(first.digest, f"sha256:{'1' * 64}"), encoding="utf-8")
    gone = case.up("--locked", *image)

    assert gone.returncode == _IMAGE, gone.stdout + gone.stderr
    assert f"has no image {registry.address}/team/engine@sha256:111" in gone.stderr
    assert "or lock what its name means now: scout-deploy lock --profile" in gone.stderr


def test_a_pull_that_is_cut_goes_on(case: ContainerCase, registry: ImageRegistry) -> None:
    reference = registry.add("team/cut", "1", made_up_image(_LAYERS), Manner(cut_after_bytes=200_000, cuts=1))

    result = case.up("--set", f"engine.image={reference}")

    assert result.returncode == _ENGINE, result.stdout + result.stderr
    assert "/layer-0" in result.stderr


@pytest.mark.parametrize(
    ("refusal", "cause", "step"),
    [
        ("denied", "does not give {image} to this user", "docker login"),
        ("login", "does not give {image} to this user", "docker login"),
        ("too-many-requests", "answers no more pulls from here for now", "wait and run the same command again"),
        ("broken", "the Docker daemon refused in the phase 'pull image'", "docker pull {image}"),
    ],
)
@pytest.mark.variant
def test_a_refused_pull_says_why_and_the_api_answers_503(
    case: ContainerCase, registry: ImageRegistry, refusal: Refusal, cause: str, step: str
) -> None:
    reference = registry.add("team/secret", "1", made_up_image(_LAYERS), Manner(refusal=refusal))

    result = case.up("--set", f"engine.image={reference}")

    assert result.returncode == _IMAGE, result.stdout + result.stderr
    assert cause.format(image=reference) in result.stderr
    assert step.format(image=reference) in result.stderr.partition("\nnext: ")[2]
    assert "Traceback" not in result.stderr
    wait_until(lambda: is_unavailable(case))
    assert case.status()["state"] == "failed"


def is_unavailable(case: ContainerCase) -> bool:
    # The proxy began moments before the refusal came, and need not listen yet.
    try:
        return case.get("/health").status_code == 503
    except requests.ConnectionError:
        return False


@pytest.mark.variant
def test_a_tag_that_the_registry_does_not_have_is_named(case: ContainerCase, registry: ImageRegistry) -> None:
    registry.add("team/engine", "1.0", made_up_image(_LAYERS))

    result = case.up("--set", f"engine.image={registry.address}/team/engine:2.0")

    assert result.returncode == _IMAGE
    assert f"the registry has no image {registry.address}/team/engine:2.0" in result.stderr
    assert "check engine.version, or the tag in engine.image" in result.stderr
