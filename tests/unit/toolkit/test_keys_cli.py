"""API keys on the command line: made, planned with, rendered, and never printed again."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fakes.no_docker import without_docker
from fakes.profile_folder import Folder
from scout_deploy.cli.app import create_app
from scout_deploy.errors import DeployError, ProfileError
from scout_proxy.access.key_ring import KeyRing
from scout_proxy.route_table import read_route_table

ALICE = "alice-has-a-key-0001"
URL = "redis://:a-password@cache.example"
SECRETS = (ALICE, "a-password")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    # Whatever else this machine's Docker runs meanwhile is no matter of keys.
    for name, value in {"SCOUT_REDIS_URL": URL, **without_docker(tmp_path)}.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(create_app(), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(kind: type[DeployError], *arguments: str) -> DeployError:
    with pytest.raises(kind) as caught:
        CliRunner().invoke(create_app(), arguments, catch_exceptions=False)
    return caught.value


def key_file(folder: Path) -> Path:
    path = folder / "keys"
    path.write_text(f"alice: {ALICE}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def with_secrets(folder: Folder, tmp_path: Path, base: str) -> str:
    key_file(tmp_path)
    folder.write(
        "mine",
        f"extends: {base}\n"
        "proxy:\n"
        "  keys: {file: keys}\n"
        "  cache: {store: redis, redis_url_variable: SCOUT_REDIS_URL}\n"
        "  cors: {origins: ['https://chat.example']}\n",
    )
    return "./mine.yaml"


def test_a_new_key_is_shown_once_with_its_line() -> None:
    made = json.loads(run("keys", "new", "alice", "--max-concurrent", "3", "--json"))

    assert made["line"] == f"alice: {made['key']} max_concurrent=3"
    assert made["file"] is None
    printed = run("keys", "new", "alice")
    assert printed.count("scout-") == 2
    assert made["key"] not in printed


def test_a_new_key_is_put_into_a_file(tmp_path: Path) -> None:
    printed = run("keys", "new", "alice", "--file", "keys")

    assert (tmp_path / "keys").read_text(encoding="utf-8").split()[1] in printed
    assert "scout-deploy up --replace" in printed
    assert "already" in refused(ProfileError, "keys", "new", "alice", "--file", "keys").message


def test_a_name_that_cannot_be_one_is_refused() -> None:
    assert "letter or digit first" in refused(ProfileError, "keys", "new", "al ice").message
    assert "scout-deploy's own" in refused(ProfileError, "keys", "new", "scout-deploy").message


@pytest.mark.parametrize("base", ["embedded", "a100-4bit"])
def test_a_dry_run_names_keys_and_shows_nothing_of_them(folder: Folder, tmp_path: Path, base: str) -> None:
    profile = with_secrets(folder, tmp_path, base)

    printed = run("up", "--dry-run", "--profile", profile)

    assert "API keys       alice (the proxy is told their digests, and nobody the keys)" in printed
    assert "cache          all, in Redis" in printed
    assert "web pages      https://chat.example" in printed
    document = run("up", "--dry-run", "--profile", profile, "--json")
    assert [key["id"] for key in json.loads(document)["routes"]["keys"]["keys"]] == ["scout-deploy", "alice"]
    for shown in (printed, document):
        assert not [secret for secret in SECRETS if secret in shown]
    assert "digest" not in document
    assert "salt" not in document
    again = run("up", "--dry-run", "--profile", profile, "--json")
    # How much memory is free now is the only thing that may change.
    assert json.loads(again) | {"fit": None} == json.loads(document) | {"fit": None}


def test_a_dry_run_finds_what_is_wrong_with_the_keys(folder: Folder, tmp_path: Path) -> None:
    profile = with_secrets(folder, tmp_path, "embedded")
    (tmp_path / "keys").chmod(0o644)

    assert refused(ProfileError, "up", "--dry-run", "--profile", profile).next_step == f"chmod 600 {tmp_path}/keys"


@pytest.mark.parametrize("base", ["embedded", "a100-4bit"])
def test_an_api_that_is_open_to_the_network_is_said_beforehand(base: str) -> None:
    printed = run("up", "--dry-run", "--profile", base, "--set", "proxy.host=0.0.0.0")

    assert "note: proxy/host is 0.0.0.0 and proxy/keys is not set: whoever reaches port 2025 may use the API" in printed


def test_compose_has_secrets_in_a_folder_of_their_owner_alone(folder: Folder, tmp_path: Path) -> None:
    run("render", "compose", "--profile", with_secrets(folder, tmp_path, "a100-4bit"), "-o", "there")

    private = tmp_path / "there" / "private"
    text = (tmp_path / "there" / "compose.yaml").read_text(encoding="utf-8")
    table = read_route_table(private / "routes" / "routes.json")
    volumes = yaml.safe_load(text)["services"]["proxy"]["volumes"]
    assert volumes[0] == {
        "type": "bind", "source": "./private/routes", "target": "/var/lib/scout", "read_only": True,
    }  # fmt: skip
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "routes").stat().st_mode & 0o777 == 0o755
    assert (private / "routes" / "routes.json").stat().st_mode & 0o777 == 0o644
    assert KeyRing(table.keys).identify(f"Bearer {ALICE}".encode()) == "alice"
    assert table.cache.redis_url_file is not None
    assert (private / "routes" / table.cache.redis_url_file).read_text(encoding="utf-8") == URL
    assert not [secret for secret in SECRETS if secret in text]
    assert not (tmp_path / "there" / "routes").exists()


def test_compose_written_again_is_the_same_where_nothing_changed(folder: Folder, tmp_path: Path) -> None:
    profile = with_secrets(folder, tmp_path, "a100-4bit")
    run("render", "compose", "--profile", profile, "-o", "there")
    first = {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()}

    run("render", "compose", "--profile", profile, "-o", "there", "--force")

    assert {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()} == first


def test_a_unit_reads_secrets_from_the_file_of_variables(folder: Folder, tmp_path: Path) -> None:
    profile = with_secrets(folder, tmp_path, "embedded")
    variable = ("--set", "proxy.keys.file=null", "--set", "proxy.keys.variable=SCOUT_API_KEYS")

    unit = run("render", "systemd", "--profile", profile, *variable)

    assert "# The profile refers to SCOUT_API_KEYS, SCOUT_REDIS_URL. Their values are read from the file that" in unit
    assert "EnvironmentFile=" in unit
    assert not [secret for secret in SECRETS if secret in unit]


def test_a_unit_names_a_file_of_keys_by_its_whole_path(folder: Folder, tmp_path: Path) -> None:
    profile = with_secrets(folder, tmp_path, "embedded")

    unit = run("render", "systemd", "--profile", profile, "--set", "proxy.keys.file=other-keys")

    assert f"--set proxy.keys.file={tmp_path}/other-keys" in unit
