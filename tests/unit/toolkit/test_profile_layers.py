"""What a profile takes from elsewhere: the profile it extends, and variables of the environment."""

import pytest

from fakes.profile_folder import Folder


def test_extends_merges_mappings_and_replaces_everything_else(folder: Folder) -> None:
    folder.write(
        "base",
        "engine:\n  kind: tgi\n  version: 3.3.7\n  environment: {A: '1', B: '2'}\n"
        "model: {id: some/model}\nhardware: {gpu_ids: [0, 1], gpu_count: 2}\n",
    )
    folder.write("over", "extends: base\nengine: {environment: {B: '3'}}\nhardware: {gpu_ids: [4, 5]}\n")

    loaded = folder.load("over")

    assert loaded.profile.engine.environment == {"A": "1", "B": "3"}
    assert (loaded.profile.hardware.gpu_ids, loaded.profile.hardware.gpu_count) == ((4, 5), 2)
    assert [path.name for path in loaded.chain] == ["over.yaml", "base.yaml"]
    assert (loaded.origins["engine/version"], loaded.origins["hardware/gpu_ids"]) == ("base.yaml:3", "over.yaml:3")


def test_null_sets_a_key_and_a_section_back_to_the_default(folder: Folder) -> None:
    folder.write("base", "engine: {kind: embedded, slots: 2}\nproxy: {port: 3000, host: '::1'}\n")
    folder.write("over", "extends: base\nengine: {slots: null}\nproxy:\n")

    profile = folder.load("over").profile

    assert (profile.engine.slots, profile.proxy.port, profile.proxy.host) == (None, 2025, "127.0.0.1")


def test_a_problem_in_what_is_extended_names_that_file(folder: Folder) -> None:
    folder.write("base", "engine: {kind: embedded}\nproxy:\n  port: x\n")
    folder.write("over", "extends: base\n")

    assert folder.problems("over") == ["base.yaml:3: proxy/port: got 'x', expected a whole number from 1 to 65535"]


def test_a_problem_that_is_overridden_is_none(folder: Folder) -> None:
    folder.write("base", "engine: {kind: embedded}\nproxy: {host: '${env:UNSET}'}\n")
    folder.write("over", "extends: base\nproxy: {host: localhost}\n")

    assert folder.load("over").profile.proxy.host == "localhost"


def test_a_path_in_extends_starts_at_the_folder_of_its_file(folder: Folder) -> None:
    folder.write("shared/base", "engine: {kind: embedded, slots: 3}\n")
    folder.write("team/mine", "extends: ../shared/base.yaml\n")

    assert folder.load("team/mine.yaml").profile.engine.slots == 3


def test_a_profile_extends_the_shipped_one_of_its_own_name(folder: Folder) -> None:
    folder.write("user/embedded", "extends: embedded\nproxy: {port: 3000}\n")
    folder.write("shipped/embedded", "engine: {kind: embedded, slots: 5}\n")

    loaded = folder.load("embedded", directories=(folder.path / "user", folder.path / "shipped"))

    assert (loaded.profile.proxy.port, loaded.profile.engine.slots) == (3000, 5)


def test_a_circle_of_extends_is_named(folder: Folder) -> None:
    folder.write("a", "extends: b\n")
    folder.write("b", "extends: c\n")
    folder.write("c", "extends: a.yaml\n")

    assert folder.problems("a") == ["a.yaml: extends itself: a.yaml -> b.yaml -> c.yaml -> a.yaml"]


def test_a_long_chain_of_extends_is_refused(folder: Folder) -> None:
    for number in range(9):
        folder.write(f"p{number}", f"extends: p{number + 1}\n")
    folder.write("p9", "engine: {kind: embedded}\n")

    assert folder.problems("p0")[0].startswith("p0.yaml: extends more than 7 profiles in a row: p0.yaml -> p1.yaml")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[a, b]", "o.yaml:2: extends: got a list, expected one profile's name, or the path of its file"),
        ("bse", "o.yaml:2: extends: no profile is named 'bse'; did you mean base? There are: base, o."),
        ("./no.yaml", "o.yaml:2: extends: got './no.yaml', and there is no such file in {folder}"),
    ],
)
def test_extends_that_leads_nowhere(folder: Folder, value: str, message: str) -> None:
    folder.write("base", "engine: {kind: embedded}\n")
    folder.write("o", f"# a comment\nextends: {value}\n")

    assert folder.problems("o") == [message.format(folder=folder.path)]


def test_variables_give_numbers_truth_values_and_text(folder: Folder) -> None:
    folder.write(
        "env",
        "engine: {kind: embedded, environment: {LEVEL: '${env:NUMBER}'}}\n"
        "hardware: {cpu_only: '${env:TRUTH}'}\n"
        "proxy: {port: '${env:NUMBER}', host: '${env:NAME:-localhost}', limits: {deadline_s: '${env:NUMBER}.5'}}\n",
    )

    profile = folder.load("env", environment={"NUMBER": "3000", "TRUTH": "true"}).profile

    assert (profile.proxy.port, profile.hardware.cpu_only, profile.proxy.host) == (3000, True, "localhost")
    assert (profile.engine.environment, profile.proxy.limits.deadline_s) == ({"LEVEL": "3000"}, 3000.5)


def test_the_value_of_a_variable_is_never_in_a_message_or_in_raw(folder: Folder) -> None:
    folder.write(
        "env",
        "engine: {kind: tgi, version: '${env:SECRET}', image: 'a ${env:SECRET}'}\n"
        "hardware: {gpu_ids: ['${env:SECRET}']}\nproxy: {port: '${env:SECRET}', host: '${env:SECRET}'}\n",
    )

    problems = folder.problems("env", environment={"SECRET": "hunter 2!"})

    assert len(problems) == 4
    assert "hunter" not in "\n".join(problems)
    assert "the value of SECRET, which the environment holds" in problems[0]


def test_a_rule_broken_by_a_variable_does_not_show_it(folder: Folder) -> None:
    folder.write("env", "engine: {kind: embedded}\nproxy: {host: '${env:SECRET}'}\n")

    problems = folder.problems("env", environment={"SECRET": "hunter 2"})

    assert problems == [
        (
            "env.yaml:2: proxy/host: got the value of SECRET, which the environment holds, expected "
            "an IP address or a host "
            "name, without port"
        )
    ]


def test_raw_and_references_hold_no_values_of_variables(folder: Folder) -> None:
    folder.write(
        "env",
        "extends: base\nproxy: {host: '${env:WHERE}'}\nhardware: {gpu_ids: [0, '${env:GPU}']}\n",
    )
    folder.write("base", "engine: {kind: tgi, version: 3.3.7}\nmodel: {id: a/b}\n")

    loaded = folder.load("env", environment={"WHERE": "example.org", "GPU": "3"})

    assert (loaded.profile.proxy.host, loaded.profile.hardware.gpu_ids) == ("example.org", (0, 3))
    assert loaded.raw["proxy"] == {"host": "${env:WHERE}"}
    assert loaded.references == {"proxy/host": "${env:WHERE}", "hardware/gpu_ids/1": "${env:GPU}"}


def test_a_missing_variable_does_not_cause_further_problems(folder: Folder) -> None:
    folder.write(
        "env", "engine: {kind: tgi, version: 3.3.7}\nmodel: {path: '${env:UNSET}'}\nhardware: {gpu_count: 1}\n"
    )

    assert [problem.partition(", ")[0] for problem in folder.problems("env")] == [
        "env.yaml:2: model/path: got ${env:UNSET}"
    ]


def test_relative_paths_start_at_the_file_that_names_them(folder: Folder) -> None:
    folder.write("deep/base", "engine: {kind: embedded}\nmodel: {path: model.gguf}\n")
    folder.write("top", "extends: deep/base.yaml\nproxy: {keys: {file: keys.txt}}\n")

    profile = folder.load("top").profile

    assert profile.model.path == str(folder.path / "deep" / "model.gguf")
    assert profile.proxy.keys.file == str(folder.path / "keys.txt")
