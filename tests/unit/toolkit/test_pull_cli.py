"""`scout-deploy pull` where nothing has to be fetched: archives, and what is removed. No hub, no daemon."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.hub_server import COMMIT
from fakes.no_docker import without_docker
from fakes.small_model import FETCHED, FILES, MODEL, TOTAL, assert_whole
from scout_deploy.cli.app import create_app
from scout_deploy.cli.wish import read_wish
from scout_deploy.errors import DeployError, LockDifferenceError, ProfileError, WeightsError
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.profile_lock.compare import locked_settings
from scout_deploy.profile_lock.document import LockedModel, ProfileLock, write_lock
from scout_deploy.weights.cache import WeightsCache
from scout_deploy.weights.repository import RepoFile, Revision

OF_COMMIT = ("--profile", "./small.yaml", "--set", f"model.revision={COMMIT}")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in without_docker(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "small.yaml").write_text(
        f"model: {{id: {MODEL}}}\nengine: {{kind: tgi, version: 3.3.7}}\nhardware: {{gpu_count: 1}}\n", encoding="utf-8"
    )


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """The model in the cache, as `pull` leaves it."""
    cache = WeightsCache(folder=tmp_path / "hf_hub_cache")
    files = [RepoFile(path=path, size_bytes=len(FILES[path])) for path in FETCHED]
    snapshot = cache.snapshot(MODEL, COMMIT)
    snapshot.mkdir(parents=True)
    for path in FETCHED:
        (snapshot / path).write_bytes(FILES[path])
    cache.write_list(Revision(model_id=MODEL, name="main", commit=COMMIT, files=()), files)
    return snapshot


def pull(*arguments: str) -> str:
    result = CliRunner().invoke(create_app(), ["pull", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(kind: type[DeployError], *arguments: str) -> DeployError:
    with pytest.raises(kind) as caught:
        CliRunner().invoke(create_app(), ["pull", *arguments], catch_exceptions=False)
    return caught.value


def lock_of_small() -> ProfileLock:
    _, wish = read_wish("./small.yaml", "scout", ())
    settings = locked_settings(flatten_settings(wish.profile, wish.version))
    return ProfileLock(profile="small", model=LockedModel(commit=COMMIT), settings=settings)


def test_the_embedded_engine_has_nothing_to_fetch_and_nothing_to_carry() -> None:
    said = json.loads(pull("--profile", "embedded", "--json"))

    assert (said["event"], said["path"].endswith(".gguf")) == ("pulled", True)
    assert "copy the file itself" in str(refused(ProfileError, "--profile", "embedded", "--export", "x").next_step)


def test_contradicting_options_and_no_profile_are_refused() -> None:
    assert "expected one of them" in refused(ProfileError, "--export", "x", "--import", "y").message
    assert "expected the name of a profile" in refused(ProfileError).message


@pytest.mark.parametrize(("alone", "missing"), [("--yes", "--prune"), ("--without-images", "--export")])
def test_an_option_that_changes_nothing_without_another_one_is_refused(alone: str, missing: str) -> None:
    said = refused(ProfileError, "--profile", "embedded", alone).message

    assert said.startswith(f"{alone} ")
    assert said.endswith(f"{missing} is not there")


def test_an_archives_place_is_looked_at_before_anything_is_fetched(tmp_path: Path) -> None:
    """No hub is there, which a fetch would have told."""
    (tmp_path / "old.tar").touch()

    assert refused(WeightsError, *OF_COMMIT, "--export", "old.tar").message == "old.tar is there already"
    missing = refused(WeightsError, *OF_COMMIT, "--export", "nowhere/new.tar")
    assert missing.message == f"nowhere/new.tar cannot be written: there is no folder {tmp_path / 'nowhere'}"


@pytest.mark.usefixtures("fetched")
def test_weights_are_carried_to_a_machine_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = pull(*OF_COMMIT, "--export", "carried.tar")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "there"))

    taken = json.loads(pull("--import", "carried.tar", "--json").splitlines()[-1])
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "third"))
    unpacked = pull("--import", "carried.tar")

    assert "note: the archive holds the weights alone: " in written
    assert "scout-deploy pull --import carried.tar" in written
    assert "unpack weights 0 %, 0.00 of 1.40 MB" in unpacked
    assert (taken["model"], taken["commit"], taken["files"], taken["bytes"]) == (MODEL, COMMIT, len(FETCHED), TOTAL)
    assert_whole(Path(taken["path"]))
    assert f"{MODEL} at {COMMIT}: 5 files" in pull(*OF_COMMIT)
    other = refused(WeightsError, "--import", "carried.tar", "--profile", "a100-4bit")
    assert other.message.startswith(f"carried.tar holds {MODEL}, and profile 'a100-4bit' serves ")


@pytest.mark.usefixtures("fetched")
def test_a_lock_says_which_commit_is_fetched(tmp_path: Path) -> None:
    refused(LockDifferenceError, "--profile", "./small.yaml", "--locked")
    write_lock(tmp_path / "small.lock", lock_of_small())

    # Nobody is asked which commit `main` is now; there is no hub here.
    assert f"{MODEL} at {COMMIT} (locked): 5 files" in pull("--profile", "./small.yaml", "--locked")


@pytest.mark.usefixtures("fetched")
def test_an_archive_of_another_commit_than_the_locks_is_not_taken(tmp_path: Path) -> None:
    write_lock(tmp_path / "small.lock", lock_of_small())
    pull("--profile", "./small.yaml", "--locked", "--export", "carried.tar")
    take = ("--import", "carried.tar", "--locked")
    assert f"{MODEL} at {COMMIT} (main)" in pull(*take, "--profile", "./small.yaml")

    lock = lock_of_small()
    write_lock(tmp_path / "small.lock", lock.model_copy(update={"model": LockedModel(commit="c" * 40)}))
    other = refused(LockDifferenceError, *take, "--profile", "./small.yaml")

    assert other.evidence == (f"model commit: {'c' * 40} -> {COMMIT}",)
    assert "expected --profile too" in refused(ProfileError, *take).message


def test_what_no_deployment_uses_is_listed_and_goes_only_with_a_yes(fetched: Path) -> None:
    asked = refused(ProfileError, "--prune")

    assert asked.message.startswith("1 model that no deployment or lock uses (1 MB) would go")
    assert fetched.is_dir()
    assert "Nothing to remove" in pull("--prune", "--profile", "./small.yaml")

    assert json.loads(pull("--prune", "--yes", "--json")) == {
        "removed": [{"model": MODEL, "commit": COMMIT, "bytes": TOTAL}],
        "bytes": TOTAL,
    }
    assert not fetched.exists()


def test_what_a_lock_names_stays_wherever_the_lock_lies(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.lock").write_text("another program's", encoding="utf-8")
    write_lock(tmp_path / "small.lock", lock_of_small())
    assert "Nothing to remove" in pull("--prune", "--yes")

    pull("--profile", "./small.yaml", "--locked")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "Nothing to remove" in pull("--prune", "--yes")
    assert fetched.is_dir()

    (tmp_path / "small.lock").write_text("broken", encoding="utf-8")
    assert "small.lock is not a lock of this version" in refused(ProfileError, "--prune", "--yes").message

    (tmp_path / "small.lock").unlink()
    removed = pull("--prune", "--yes")
    assert "note: of locks, those count that you made or ran on this machine" in removed
    assert "Removed 1 of 1" in removed
