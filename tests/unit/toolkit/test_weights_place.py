import json
import subprocess
import sys
from pathlib import Path

import pytest

from scout_deploy.weights.place import cache_folder, is_commit, relative_snapshot

ENVIRONMENTS = [
    {},
    {"HF_HOME": "/data/hf"},
    {"HF_HOME": "~/hf"},
    {"HF_HUB_CACHE": "/data/hub", "HF_HOME": "/data/hf"},
    {"HUGGINGFACE_HUB_CACHE": "/data/old"},
    {"HF_HUB_CACHE": "$DISK/hub", "DISK": "/mnt/big"},
    {"HF_HUB_CACHE": "${DISK}/$UNSET", "DISK": "/mnt/big"},
    {"XDG_CACHE_HOME": "/var/cache/me"},
]
ASK_HUGGINGFACE_HUB = """
import importlib, json, os, sys
from huggingface_hub import constants
for environment in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(environment, HOME="/home/somebody")
    print(importlib.reload(constants).HF_HUB_CACHE)
"""


def test_the_cache_is_where_huggingface_hub_has_it() -> None:
    theirs = subprocess.run(
        [sys.executable, "-c", ASK_HUGGINGFACE_HUB, json.dumps(ENVIRONMENTS)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()

    ours = [str(cache_folder({**environment, "HOME": "/home/somebody"})) for environment in ENVIRONMENTS]

    assert ours == theirs


def test_an_empty_variable_is_no_folder() -> None:
    assert cache_folder({"HF_HUB_CACHE": "", "HF_HOME": "/data/hf"}) == Path("/data/hf/hub")


def test_a_snapshot_lies_below_the_cache_wherever_that_is_mounted() -> None:
    path = relative_snapshot("acme/model", "a" * 40)

    assert str("/weights" / path) == f"/weights/models--acme--model/snapshots/{'a' * 40}"


@pytest.mark.parametrize(("revision", "expected"), [("a1" * 20, True), ("main", False), ("a1" * 19, False)])
def test_only_all_forty_digits_are_a_commit(revision: str, *, expected: bool) -> None:
    assert is_commit(revision) is expected
