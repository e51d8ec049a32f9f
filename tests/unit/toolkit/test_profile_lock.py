"""`scout-deploy lock`, and what `up --locked` and `status` make of it; no daemon is needed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scout_deploy.cli.app import create_app
from scout_deploy.cli.locking import lock_of, pins_of, settings_drift
from scout_deploy.cli.wish import read_wish
from scout_deploy.containers import labels
from scout_deploy.containers.observation import ContainerObservation
from scout_deploy.containers.observed import ObservedContainer
from scout_deploy.errors import DeployError, LockDifferenceError, ProfileError
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.settings import flatten_settings
from scout_deploy.profile_lock.compare import changed_model, locked_settings
from scout_deploy.profile_lock.document import LockedImage, LockedModel, ProfileLock, read_lock, write_lock
from scout_deploy.profile_lock.files import model_of_folder
from scout_deploy.profile_lock.pins import Pins
from scout_deploy.profile_lock.place import lock_path

COMMIT, OTHER = "a" * 40, "b" * 40
DIGEST = "registry.example/tgi@sha256:" + "1" * 64
ID = "sha256:" + "2" * 64
TGI = ProfileLock(
    profile="small",
    model=LockedModel(commit=COMMIT),
    image=LockedImage(reference="registry.example/tgi:3.3.7", digest=DIGEST, id=ID),
    settings={"engine/kind": "tgi"},
)


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A profile of the user's own, with a file of theirs for a model."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF and so on")
    path = tmp_path / "mine.yaml"
    path.write_text("extends: embedded\nmodel: {path: model.gguf}\n", encoding="utf-8")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(create_app(), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def pins(profile: str, *assignments: str) -> Pins:
    return pins_of(*read_wish(profile, "scout", assignments))


def test_a_lock_lies_beside_the_users_profile_and_says_what_it_is(mine: Path) -> None:
    said = json.loads(run("lock", "--profile", "./mine.yaml", "--json"))

    lock = read_lock(mine.with_suffix(".lock"))
    assert lock is not None
    assert said == {
        "file": str(mine.with_suffix(".lock")),
        "is_same": False,
        "lock": lock.model_dump(mode="json", exclude_none=True),
    }
    assert lock.model.files == {"model.gguf": 14}
    assert lock.settings["engine/kind"] == "embedded"
    assert not [key for key in lock.settings if key.startswith("proxy/") and key != "proxy/prompt_format"]
    assert "unchanged" in run("lock", "--profile", "./mine.yaml")


def test_the_lock_of_a_shipped_profile_is_the_users(tmp_path: Path) -> None:
    run("lock", "--profile", "embedded")

    assert (tmp_path / "config/scout-deploy/profiles/embedded.lock").is_file()
    assert pins("embedded").lock == lock_of("embedded")


@pytest.mark.usefixtures("mine")
def test_without_a_lock_up_locked_says_how_to_make_one() -> None:
    with pytest.raises(LockDifferenceError, match=r"has no lock: there is no file .*/mine\.lock") as caught:
        pins("./mine.yaml")

    assert str(caught.value.next_step).startswith("scout-deploy lock --profile ")


def test_up_locked_names_each_setting_and_file_that_is_not_the_locks(mine: Path) -> None:
    run("lock", "--profile", "./mine.yaml")
    assert pins("./mine.yaml", "proxy.port=2026").lock is not None

    (mine.parent / "model.gguf").write_bytes(b"GGUF and so oN")
    with pytest.raises(LockDifferenceError) as caught:
        pins("./mine.yaml", "engine.slots=3")

    slots, sha256 = caught.value.evidence
    assert slots == "engine/slots: 8 -> 3"
    assert sha256.startswith("model file's SHA-256: ")


@pytest.mark.usefixtures("mine")
def test_a_command_with_locked_starts_nothing_where_something_differs() -> None:
    run("lock", "--profile", "./mine.yaml")

    with pytest.raises(DeployError) as caught:
        CliRunner().invoke(
            create_app(),
            ["up", "--profile", "./mine.yaml", "--locked", "--set", "engine.slots=3"],
            catch_exceptions=False,
        )

    assert caught.value.exit_code == 21


def test_status_says_how_what_runs_differs_from_the_lock(mine: Path) -> None:
    run("lock", "--profile", "./mine.yaml")
    loaded, wish = read_wish("./mine.yaml", "scout", ("engine.slots=3",))
    runs = flatten_settings(loaded.profile, wish.version)

    assert settings_drift(lock_of(str(mine)), runs) == ("lock: engine/slots: 8 -> 3",)
    assert settings_drift(lock_of("no-such-profile"), runs) == ()


def test_a_directory_is_compared_by_checksums_where_reading_it_costs_little(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_bytes(b'{"a": 1}')
    large, blob = folder / "model.safetensors", tmp_path / ("c" * 64)
    with large.open("wb") as sparse:
        sparse.truncate(65_000_000)
    was = ProfileLock(profile="mine", model=model_of_folder(folder), settings={})

    (folder / "config.json").write_bytes(b'{"a": 2}')
    # In a cache of the hub the name says what is in it, and nothing is read.
    large.rename(blob)
    large.symlink_to(blob)
    now = model_of_folder(folder)

    assert set(was.model.checksums) == {"config.json"}
    assert now.checksums["model.safetensors"] == "c" * 64
    (change,) = changed_model(was, now)
    assert change.startswith("SHA-256 of model file config.json: ")
    # A file that grew is said by its size alone.
    (folder / "config.json").write_bytes(b"{}")
    assert list(changed_model(was, model_of_folder(folder))) == ["model file config.json: 8 bytes -> 2 bytes"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "[]", "\x00"])
def test_a_file_that_is_no_lock_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.lock"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ProfileError, match=r"mine\.lock is not a lock of this version"):
        read_lock(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(ProfileError, match=r"the lock .* cannot be written: "):
        write_lock(tmp_path / "file" / "mine.lock", TGI)


def test_pins_put_the_commit_in_place_of_a_branch_and_the_digest_in_place_of_a_tag() -> None:
    profile = Profile.model_validate(
        {
            "model": {"id": "acme/chat"},
            "engine": {"kind": "tgi", "version": "3.3.7"},
            "hardware": {"gpu_count": 1},
        }
    )

    assert Pins(TGI).on(profile).model.revision == COMMIT
    assert Pins().on(profile) == profile
    assert Pins(TGI).image("registry.example/tgi:3.3.7") == DIGEST
    assert Pins(TGI).image("registry.example/another") is None


def running(image: str, image_id: str, commit: str) -> ContainerObservation:
    engine = ObservedContainer(
        id="1",
        name="scout-engine-1-0",
        status="running",
        image=image,
        image_id=image_id,
        labels={labels.ROLE: "engine", labels.COMMIT: commit},
    )
    return ContainerObservation(name="scout", containers=(engine,))


def test_what_runs_is_compared_by_commit_and_by_digest_or_id() -> None:
    assert Pins(TGI).changes(running(DIGEST, "sha256:another", COMMIT)) == ()
    assert Pins(TGI).changes(running("loaded:here", ID, COMMIT)) == ()
    assert Pins(TGI).changes(running("other@sha256:3", "sha256:4", OTHER)) == (
        f"model commit: {COMMIT} -> {OTHER}",
        f"engine image: {DIGEST} -> other@sha256:3",
    )
    assert Pins().changes(running("other", "another", OTHER)) == ()


def test_only_what_decides_the_answers_is_locked() -> None:
    flat = {"engine/dtype": "x", "proxy/port": "1", "replicas": "1", "startup/timeout_s": "9", "model/id": "y"}

    assert locked_settings(flat) == {"engine/dtype": "x", "replicas": "1", "model/id": "y"}


def test_the_lock_of_a_profile_lies_beside_it(tmp_path: Path) -> None:
    assert lock_path(tmp_path / "deep" / "x.yaml", {}) == tmp_path / "deep" / "x.lock"


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_lock_is_named_and_written_anew(mine: Path, damaged: bytes) -> None:
    run("lock", "--profile", str(mine))
    path = mine.with_suffix(".lock")
    whole = path.read_bytes()
    path.write_bytes(damaged)

    with pytest.raises(ProfileError, match=r"mine\.lock (is not a lock of this version|cannot be read)"):
        pins(str(mine))
    assert f"{path}: written" in run("lock", "--profile", str(mine))
    assert path.read_bytes() == whole
