"""The operator's file and variable of API keys."""

from pathlib import Path

import pytest

from scout_deploy.api_keys.key_source import read_keys
from scout_deploy.api_keys.key_writing import append_key
from scout_deploy.api_keys.named_key import NamedKey
from scout_deploy.errors import ProfileError
from scout_deploy.profile.proxy import Keys

KEY = "alice-has-a-key-0001"


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(keys: Keys, **environment: str) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        read_keys(keys, environment)
    assert KEY not in f"{caught.value.message} {caught.value.next_step}"
    return caught.value


def test_a_file_is_read_with_the_profiles_limits(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"alice: {KEY}\n")

    assert read_keys(Keys(file=str(path), max_concurrent=3), {}) == (NamedKey(name="alice", key=KEY, max_concurrent=3),)


def test_a_variable_is_read() -> None:
    assert read_keys(Keys(variable="KEYS"), {"KEYS": f"alice: {KEY};"}) == (NamedKey(name="alice", key=KEY),)


def test_a_profile_without_keys_has_none() -> None:
    assert read_keys(Keys(), {"KEYS": "ignored"}) == ()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, f"alice: {KEY}\n", mode)

    error = refusal(Keys(file=str(path)))

    assert f"can be read or changed by others of this machine (mode {mode:03o})" in error.message
    assert error.next_step == f"chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_file_of_the_operator_or_of_their_group_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_keys(Keys(file=str(key_file(tmp_path, f"alice: {KEY}\n", mode))), {})


def test_a_file_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    error = refusal(Keys(file=str(tmp_path / "none")))

    assert error.message == f"proxy/keys/file: {tmp_path}/none cannot be read: No such file or directory"
    assert f"scout-deploy keys new NAME --file {tmp_path}/none makes a key" in str(error.next_step)


def test_what_is_no_text_is_named_by_its_line(tmp_path: Path) -> None:
    path = key_file(tmp_path, "")
    path.write_bytes(f"alice: {KEY}\n".encode() + b"\xff\xfe\n")

    assert refusal(Keys(file=str(path))).message == f"{path}: line 2: not UTF-8"


@pytest.mark.parametrize("environment", [{}, {"KEYS": ""}, {"KEYS": " \n"}])
def test_a_variable_that_is_not_set_would_open_the_api(environment: dict[str, str]) -> None:
    error = refusal(Keys(variable="KEYS"), **environment)

    assert error.message == "proxy/keys/variable: the environment variable KEYS is not set, or empty"


def test_a_key_is_added_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys"

    append_key(path, NamedKey(name="alice", key=KEY))
    append_key(path, NamedKey(name="bob", key="bob-has-a-key-00002", max_concurrent=2))

    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in read_keys(Keys(file=str(path)), {})] == ["alice", "bob"]


def test_a_last_line_without_an_end_is_not_run_into(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"# ours\nalice: {KEY}")

    append_key(path, NamedKey(name="bob", key="bob-has-a-key-00002"))

    assert len(read_keys(Keys(file=str(path)), {})) == 2


def test_a_name_that_is_taken_is_not_given_away(tmp_path: Path) -> None:
    path = key_file(tmp_path, f"alice: {KEY}\n")

    with pytest.raises(ProfileError, match="a key of the name 'alice' already"):
        append_key(path, NamedKey(name="alice", key="another-key-0000001"))

    assert path.read_text(encoding="utf-8") == f"alice: {KEY}\n"
