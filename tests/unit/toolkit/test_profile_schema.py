"""The committed JSON Schema, and everything in profiles/ against it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from scout_deploy.profile.catalogue import profile_files, shipped_profiles_dir
from scout_deploy.profile.document import parse_document
from scout_deploy.profile.loader import load_profile
from scout_deploy.profile.problem import Place
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.proxy import Limits, Queue
from scout_deploy.profile.schema import key_schemas, profile_schema, schema_text
from scout_deploy.profile.tree import plain
from scout_proxy import route_table

_PROFILES = shipped_profiles_dir()
_FILES = sorted(_PROFILES.glob("*.yaml"))
_EXAMPLE = _PROFILES / "example.yaml"
_MODELINE = "# yaml-language-server: $schema=profile.schema.json"


def _content(path: Path) -> Any:
    place = Place(source=path.name, line=1, directory=path.parent)
    # Through JSON, since the validator knows lists and not tuples.
    return json.loads(json.dumps(plain(parse_document(path.read_text(encoding="utf-8"), place).root)))


def _errors(document: object) -> list[str]:
    return [error.json_path for error in Draft202012Validator(profile_schema()).iter_errors(document)]


def test_the_committed_schema_is_current() -> None:
    committed = (_PROFILES / "profile.schema.json").read_text(encoding="utf-8")

    assert committed == schema_text(), "write it anew: scout-deploy profiles schema > profiles/profile.schema.json"


def test_the_schema_is_valid_draft_2020_12() -> None:
    Draft202012Validator.check_schema(profile_schema())


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_file_is_bound_to_the_schema_and_fits_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").splitlines()[0] == _MODELINE
    assert _errors(_content(path)) == []


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_file_means_the_same_to_another_yaml_reader(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        assert yaml.safe_load(file) == _content(path)


@pytest.mark.parametrize(
    "document",
    [
        {"engine": {"kind": "embedded"}},
        {"extends": "embedded"},
        {"extends": "embedded", "x-note": {"any": ["thing"]}, "proxy": {"x-port": 1, "port": "${env:PORT}"}},
        {"extends": "embedded", "proxy": None, "hardware": {"gpu_ids": [0, "${env:GPU:-1}"], "cpu_only": "${env:CPU}"}},
        {"extends": "embedded", "engine": {"environment": {"A": "b", "C": None}}},
    ],
)
def test_the_schema_takes_what_the_loader_takes(document: dict[str, object]) -> None:
    assert _errors(document) == []


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "$"),
        ({"engine": {"kind": "vllm"}}, "$.engine"),
        ({"extends": "a", "prot": 1}, "$"),
        ({"extends": "a", "proxy": {"port": "2025"}}, "$.proxy"),
        ({"extends": "a", "engine": {"environment": {"not a name": "b"}}}, "$.engine"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(document: dict[str, object], where: str) -> None:
    assert _errors(document) == [where]


def _at(content: Any, key: tuple[str, ...]) -> bool:
    for step in key:
        if not isinstance(content, dict) or step not in content:
            return False
        content = content[step]
    return True


def test_the_example_has_every_key() -> None:
    content = _content(_EXAMPLE)

    assert [key for key in (("extends",), *key_schemas()) if not _at(content, key)] == []


def test_the_example_says_of_every_key_what_it_is_and_its_default() -> None:
    text = _EXAMPLE.read_text(encoding="utf-8")
    comments = " ".join(re.sub(r"(?m)^ *# ?", "", text).split())

    for key, schema in key_schemas().items():
        about = str(schema["description"]).partition("\n\n")[0]
        assert " ".join(about.split()) in comments, key
    stated = re.findall(r"(?m)# (required|optional, default: [^;]*);.*\n *(\w+):", text)
    assert {
        name: need for need, name in stated if name in ("kind", "port", "replicas", "policy", "cpu_only", "slots")
    } == {
        "kind": "required",
        "port": "optional, default: 2025",
        "replicas": "optional, default: 1",
        "policy": "optional, default: all",
        "cpu_only": "optional, default: false",
        "slots": "optional, default: null",
    }
    assert len(stated) == len([schema for schema in key_schemas().values() if "properties" not in schema]) + 1


@pytest.mark.parametrize("name", [*profile_files((_PROFILES,)), "example"])
def test_every_shipped_profile_loads(name: str) -> None:
    loaded = load_profile(name, environment={}, directories=(_PROFILES,))

    assert loaded.profile.description


@pytest.mark.parametrize("name", profile_files((_PROFILES,)))
def test_every_shipped_profile_states_the_documented_identity_or_that_of_another_model(name: str) -> None:
    profile = load_profile(name, environment={}, directories=(_PROFILES,)).profile
    identity = profile.identity()

    if profile.model.id is not None and "Llama-4" not in profile.model.id:
        assert identity == route_table.Identity(name=f"{profile.model.id} API", model=profile.model.id)
        return
    assert identity == route_table.Identity(
        name="Llama 4 Scout-17B API", model="meta-llama/Llama-4-Scout-17B-16E-Instruct"
    )


@pytest.mark.parametrize("name", [name for name in profile_files((_PROFILES,)) if name != "embedded"])
def test_what_no_hardware_has_shown_is_called_unproven(name: str) -> None:
    assert "unproven" in load_profile(name, environment={}, directories=(_PROFILES,)).profile.description


@pytest.mark.parametrize("name", [name for name in profile_files((_PROFILES,)) if name.endswith(("bit", "bf16"))])
def test_scout_on_tgi_stays_within_one_attention_chunk_and_asks_for_no_ignored_flag(name: str) -> None:
    engine = load_profile(name, environment={}, directories=(_PROFILES,)).profile.engine

    assert (engine.version, engine.context_length, engine.dtype, engine.kv_cache_dtype) == (
        "3.3.7",
        8192,
        "bfloat16",
        None,
    )
    assert engine.quantization in (None, "compressed-tensors")


def test_the_limits_are_those_of_the_route_table() -> None:
    # `max_waiting` is the profile's `proxy/queue`, which the route table has among its limits.
    assert Limits().model_dump() | {"max_waiting": Queue().max_waiting} == route_table.Limits().model_dump()


def test_every_key_is_described() -> None:
    assert [key for key, schema in key_schemas().items() if not schema.get("description")] == []
    assert set(Profile.model_fields) == {key[0] for key in key_schemas()}
