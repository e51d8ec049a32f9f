"""What was planned of an engine's memory, kept on its container."""

from fakes.measured_starts import PREDICTION, SETTING
from fakes.tgi_requests import shipped_profile
from scout_deploy.container_draft import Wish, draft, with_predictions
from scout_deploy.containers import labels
from scout_deploy.containers.deployment import ContainerDeployment, Weights
from scout_deploy.containers.spec import Mount
from scout_deploy.engines.catalogue import container_engine_for
from scout_deploy.fit.measured_start import Planned, read_planned
from scout_deploy.known_models import known_facts
from scout_deploy.model_facts import ModelFacts
from scout_deploy.served_model import ServedModel
from scout_proxy.route_table import Template


def plan() -> ContainerDeployment:
    profile = shipped_profile("h100-bf16", replicas="2")
    mount = Mount(kind="bind", source="/cache/models--a--b", target="/weights/models--a--b", read_only=True)
    weights = Weights(mount=mount, path="/weights/models--a--b/snapshots/0123abc", commit="0123abc")
    model = ServedModel(weights=weights, facts=known_facts(profile.model.id) or ModelFacts(), template=Template())
    return draft(
        Wish(profile=profile, profile_name="h100-bf16", name="blue", version="9.9.9"),
        container_engine_for("tgi"),
        model,
    )


def test_a_plan_lies_on_the_containers_that_it_is_of_with_the_commit_that_was_resolved() -> None:
    plain = plan()

    labelled = with_predictions(plain, (Planned(setting=SETTING, prediction=PREDICTION), None))

    first, second = labelled.engines
    assert read_planned(first.labels[labels.PLANNED]) == Planned(
        setting=SETTING.model_copy(update={"commit": "0123abc"}), prediction=PREDICTION
    )
    assert second == plain.engines[1]
    assert first.fingerprint() == plain.engines[0].fingerprint()
    assert first.labels[labels.CONFIG] == plain.engines[0].labels[labels.CONFIG]


def test_without_a_plan_nothing_is_labelled() -> None:
    assert with_predictions(plan(), ()) == plan()
