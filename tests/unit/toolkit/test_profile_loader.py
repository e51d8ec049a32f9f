"""From names and files to a profile, and from mistakes to messages."""

from pathlib import Path

import pytest

from fakes.profile_folder import Folder
from scout_deploy.errors import ProfileError
from scout_deploy.profile.layers import parse_overrides
from scout_deploy.profile.loader import load_profile


def test_a_small_profile_gets_every_default(folder: Folder) -> None:
    folder.write("small", "engine: {kind: embedded}\n")

    profile = folder.load("small").profile

    assert (profile.proxy.port, profile.proxy.limits.deadline_s, profile.proxy.cache.policy) == (2025, 600.0, "all")


def test_every_problem_of_a_file_is_named_at_once(folder: Folder) -> None:
    folder.write(
        "bad",
        "description: 7\n"
        "modle: {}\n"
        "engine:\n"
        "  kind: vllm\n"
        "  slots: '8'\n"
        "  slots: 9\n"
        "hardware:\n"
        "  gpu_ids: [0, one]\n"
        "  cpu_only: yes\n"
        "proxy:\n"
        "  prot: 99\n"
        "  port: 99999\n"
        "  limits: 5\n"
        "port: ${env:NOT_SET_ANYWHERE}\n"
        "replicas: ${env:NOT_SET_ANYWHERE}\n",
    )

    assert folder.problems("bad") == [
        'bad.yaml:1: description: got 7, expected text; put it in quotes: "7"',
        (
            "bad.yaml:2: modle: got an unknown key, expected one of description, model, api, "
            "engine, hardware, replicas, "
            "proxy, startup, update, service_level, extends; did you mean model?"
        ),
        "bad.yaml:4: engine/kind: got 'vllm', expected embedded or tgi",
        "bad.yaml:5: engine/slots: got '8', expected a whole number from 1 to 1024; write it without quotes",
        "bad.yaml:6: engine/slots: got the key a second time, expected it once; the first is at bad.yaml:5",
        "bad.yaml:8: hardware/gpu_ids/1: got 'one', expected a whole number, 0 or more",
        "bad.yaml:9: hardware/cpu_only: got 'yes', expected true or false; write true",
        (
            "bad.yaml:11: proxy/prot: got an unknown key, expected one of host, port, base_image, image, "
            "prompt_format, limits, cache, queue, "
            "keys, cors, log, tracing; did you mean port?"
        ),
        "bad.yaml:12: proxy/port: got 99999, expected a whole number from 1 to 65535",
        (
            "bad.yaml:13: proxy/limits: got 5, expected a mapping with the keys max_body_bytes, "
            "max_num_return_sequences, "
            "deadline_s, header_timeout_s, body_timeout_s, drain_s"
        ),
        (
            "bad.yaml:14: port: got ${env:NOT_SET_ANYWHERE}, which is not set in the environment, "
            "expected a value: set "
            "NOT_SET_ANYWHERE, or write ${env:NOT_SET_ANYWHERE:-default}"
        ),
        (
            "bad.yaml:15: replicas: got ${env:NOT_SET_ANYWHERE}, which is not set in the "
            "environment, expected a value: set "
            "NOT_SET_ANYWHERE, or write ${env:NOT_SET_ANYWHERE:-default}"
        ),
    ]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("port: 2025", "did you mean proxy/port?"),
        ("proxy: {prompt-format: raw}", "did you mean prompt_format?"),
        ("engine: {kind: embedded, gpu_count: 1}", "did you mean hardware/gpu_count?"),
        ("engine: {kind: embeded}", "did you mean embedded?"),
        ("proxy: {limits: {max_body_bytes: 2_000_000}}", "write 2000000"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(folder: Folder, line: str, hint: str) -> None:
    folder.write("near", line + "\n")

    assert [problem.rpartition("; ")[2] for problem in folder.problems("near") if "; " in problem] == [hint]


def test_a_missing_section_is_named_without_a_line(folder: Folder) -> None:
    folder.write("none", "description: nothing to run\n")

    assert folder.problems("none") == [
        (
            "none.yaml: engine: got nothing, expected a mapping with the keys kind, version, image, "
            "quantization, dtype, "
            "kv_cache_dtype, context_length, max_input_tokens, max_batch_prefill_tokens, max_concurrent_requests, "
            "memory_fraction, shm_size_gb, slots, threads, environment"
        )
    ]


def test_broken_rules_are_named_where_the_key_stands(folder: Folder) -> None:
    folder.write("rules", "engine:\n  kind: embedded\n  version: 3.3.7\nhardware:\n  cpu_only: true\n  gpu_count: 2\n")

    assert folder.problems("rules") == [
        "rules.yaml:3: engine/version: got '3.3.7', expected no such key: engine kind embedded would ignore it",
        "rules.yaml:6: hardware/gpu_count: got 2, expected no GPU: hardware/cpu_only is true",
    ]


def test_an_unknown_name_lists_the_near_ones_and_all(folder: Folder) -> None:
    for name in ("a100-4bit", "embedded", "_base", "example"):
        folder.write(name, "engine: {kind: embedded}\n")

    assert folder.problems("a100_4bit") == [
        "no profile is named 'a100_4bit'; did you mean a100-4bit? There are: a100-4bit, embedded."
    ]


def test_a_name_that_is_a_file_here_is_told_to_be_written_as_a_path(folder: Folder) -> None:
    folder.write("mine", "engine: {kind: embedded}\n")

    with pytest.raises(ProfileError) as caught:
        folder.load("mine", directories=())

    assert caught.value.next_step == "To use the file mine.yaml in this folder, write ./mine.yaml."


def test_the_users_profile_stands_before_the_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "config" / "scout-deploy" / "profiles" / "embedded.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("extends: embedded\nengine: {slots: 2}\n")

    loaded = load_profile("embedded", environment={"XDG_CONFIG_HOME": str(tmp_path / "config")})

    assert (loaded.path, loaded.profile.engine.slots) == (own, 2)
    assert loaded.profile.identity().name == "Llama 4 Scout-17B API"


@pytest.mark.parametrize(
    "name", ["", ".", "a" * 5000, "a" * 5000 + ".yaml", "~nobody-is-named-so/a.yaml", "a\0b", "a b"]
)
def test_names_that_no_file_can_have_are_unknown(folder: Folder, name: str) -> None:
    with pytest.raises(ProfileError):
        folder.load(name)


def test_what_a_message_repeats_is_short_and_printable(folder: Folder) -> None:
    folder.write("long", f'engine: {{kind: embedded}}\n"\\e[31mred": 1\n{"k" * 900}: 1\nreplicas: {"v" * 900}\n')

    problems = folder.problems("long")

    assert len(problems) == 3
    assert all(problem.isprintable() and len(problem) < 300 for problem in problems)


def test_set_values_are_yaml_and_win(folder: Folder) -> None:
    folder.write("base", "engine: {kind: embedded, slots: 2}\nproxy: {port: 3000}\n")

    loaded = folder.load(
        "base",
        overrides={
            "proxy.port": "4000",
            "engine.slots": "null",
            "engine.environment": "{A: 'x'}",
            "model.path": "m.gguf",
        },
    )

    assert (loaded.profile.proxy.port, loaded.profile.engine.slots) == (4000, None)
    assert (loaded.profile.engine.environment, loaded.profile.model.path) == ({"A": "x"}, str(folder.path / "m.gguf"))
    assert loaded.origins["proxy/port"] == "--set"


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"proxy.port": "x"}, "--set: proxy/port: got 'x', expected a whole number from 1 to 65535"),
        (
            {"port": "1"},
            (
                "--set: port: got an unknown key, expected one of description, model, api, engine, hardware, replicas, "
                "proxy, startup, update, service_level, extends; did you mean proxy/port?"
            ),
        ),
        ({"proxy.port": "[1"}, "--set proxy.port: is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ({"proxy.port": "!x 1"}, "--set: proxy/port: got the tag !x, expected a value without a tag"),
        (
            {"proxy..port": "1"},
            "--set: got 'proxy..port', expected the dotted path of a profile's key, as in proxy.port=2026",
        ),
        ({"extends": "b"}, "--set: got 'extends', expected the dotted path of a profile's key, as in proxy.port=2026"),
    ],
)
def test_a_wrong_set_is_named_as_such(folder: Folder, overrides: dict[str, str], problem: str) -> None:
    folder.write("base", "engine: {kind: embedded}\n")

    assert folder.problems("base", overrides=overrides) == [problem]


def test_a_key_of_set_that_is_deeper_than_any_profile_is_refused(folder: Folder) -> None:
    folder.write("base", "engine: {kind: embedded}\n")

    with pytest.raises(ProfileError, match="expected the dotted path"):
        folder.load("base", overrides={".".join("a" * 5000): "1"})


def test_assignments_are_split_at_the_first_equals_sign() -> None:
    assert parse_overrides(["a.b=1", "c=x=y", "a.b=2"]) == {"a.b": "2", "c": "x=y"}


@pytest.mark.parametrize("assignment", ["proxy.port", "=1", " =1"])
def test_an_assignment_without_key_or_value_is_refused(assignment: str) -> None:
    with pytest.raises(ProfileError, match=r"expected key\.path=value"):
        parse_overrides([assignment])
