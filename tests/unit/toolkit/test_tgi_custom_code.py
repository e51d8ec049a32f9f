"""Checkpoints with code of their own: what the plan says before anything is fetched."""

from dataclasses import replace

import pytest

from fakes.recorded_models import recorded
from fakes.tgi_requests import LLAMA, tgi_profile, tgi_request
from scout_deploy.engines.catalogue import container_engine_for, planning_engine_for
from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.errors import ProfileError
from scout_deploy.fit.gpu_kind import read_gpus
from scout_deploy.fit_plan import Planner
from scout_deploy.model_facts import facts_of_config
from scout_deploy.profile.engine import Model
from scout_deploy.profile.profile import Profile

ADAPTER = container_engine_for("tgi")
AUTO_MAP = {
    "AutoConfig": "configuration_minicpm.MiniCPM3Config",
    "AutoModelForCausalLM": "someone/other--modeling_minicpm.MiniCPM3ForCausalLM",
    "AutoTokenizer": ["tokenization_minicpm.MiniCPMTokenizer", None],
}
MINICPM = facts_of_config({"model_type": "minicpm3", "num_attention_heads": 40, "auto_map": AUTO_MAP})
CODE = ("configuration_minicpm.py", "modeling_minicpm.py", "tokenization_minicpm.py")
TRUSTING = tgi_profile({"environment": {"TRUST_REMOTE_CODE": "true"}})


def on_a_directory(profile: Profile) -> Profile:
    return profile.model_copy(update={"model": Model(path="/models/minicpm")})


def starts(request: EngineRequest) -> bool:
    return ADAPTER.container(request).environment["MODEL_ID"] == "/weights/model"


def refusal(request: EngineRequest) -> str:
    with pytest.raises(ProfileError) as caught:
        ADAPTER.container(request)
    return caught.value.message


def test_the_files_of_a_models_own_code_are_named() -> None:
    assert MINICPM.code == CODE
    assert facts_of_config({"auto_map": {"AutoConfig": 3, "AutoModel": None}}).code == ()
    assert facts_of_config({"auto_map": "x.Y"}).code == ()


def test_an_architecture_that_only_its_publisher_has_code_for_is_refused_beforehand() -> None:
    said = refusal(tgi_request(tgi_profile(), MINICPM))

    assert "model: got minicpm3, which TGI has no code for" in said
    assert "configuration_minicpm.py, modeling_minicpm.py" in said
    assert "engine/environment/TRUST_REMOTE_CODE" in said


@pytest.mark.parametrize("architecture", ["phi3", "deepseek_v2", "olmoe", "llama4"])
def test_code_that_tgi_does_not_need_is_passed_over(architecture: str) -> None:
    assert starts(tgi_request(tgi_profile(), replace(MINICPM, architecture=architecture)))


def test_a_model_that_tgi_builds_itself_may_need_its_publishers_tokenizer() -> None:
    assert "model: got baichuan" in refusal(tgi_request(tgi_profile(), replace(MINICPM, architecture="baichuan")))


def test_without_code_of_its_own_an_unknown_architecture_is_tried() -> None:
    assert starts(tgi_request(tgi_profile(), replace(MINICPM, code=())))


def test_code_is_run_from_a_directory_of_the_users_own_alone() -> None:
    assert ADAPTER.container(tgi_request(on_a_directory(TRUSTING), MINICPM)).environment["TRUST_REMOTE_CODE"] == "true"
    assert "is not fetched with the weights" in refusal(tgi_request(TRUSTING, MINICPM))
    # Nothing of its own is missing then.
    assert starts(tgi_request(TRUSTING, LLAMA))


def test_a_no_is_a_no() -> None:
    denying = tgi_profile({"environment": {"TRUST_REMOTE_CODE": "False"}})

    assert "which TGI has no code for" in refusal(tgi_request(denying, MINICPM))


def test_an_image_of_the_users_own_may_know_more() -> None:
    assert starts(tgi_request(tgi_profile({"image": "someone/tgi:minicpm"}), MINICPM))


def test_a_plan_says_so_before_it_counts_anything() -> None:
    model = replace(recorded("phi-3-mini"), facts=MINICPM)

    plan = Planner(profile=tgi_profile(), model=model, adapter=planning_engine_for("tgi")).on(read_gpus("L40S"))

    assert plan.answer == "no"
    assert "the checkpoint brings its own" in plan.reason
