"""API keys as text, and what is wrong with them: named by its line, never shown."""

import pytest

from scout_deploy.api_keys.key_list import KeyDefaults, key_line, parse_keys
from scout_deploy.api_keys.named_key import NamedKey, key_problem, new_key
from scout_deploy.errors import ProfileError

ALICE, BOB = "alice-has-a-key-0001", "bob/has+another.key~2=="
NO_LIMITS = KeyDefaults()


def problems(text: str) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        parse_keys(text, "keys", NO_LIMITS)
    assert caught.value.next_step == "scout-deploy keys new NAME makes a key and shows its line"
    return caught.value.message.splitlines()


def test_each_line_is_a_key() -> None:
    text = f"# Our clients\n\nalice: {ALICE}\n  bob:{BOB}  \r\n"

    assert parse_keys(text, "keys", NO_LIMITS) == (NamedKey(name="alice", key=ALICE), NamedKey(name="bob", key=BOB))


def test_a_key_may_have_limits_of_its_own() -> None:
    defaults = KeyDefaults(requests_per_minute=60, max_concurrent=4)
    text = f"a: {ALICE}\nb: {BOB} max_concurrent=2\nc: {new_key()} requests_per_minute=0.5 max_concurrent=none"

    limits = [(one.requests_per_minute, one.max_concurrent) for one in parse_keys(text, "keys", defaults)]

    assert limits == [(60, 4), (60, 2), (0.5, None)]


def test_a_variable_may_hold_several_in_one_line() -> None:
    assert [one.name for one in parse_keys(f"a: {ALICE}; b: {BOB};", "KEYS", NO_LIMITS, separator=";")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice a-key-without-a-colon", "line 1: expected `name: key`, and behind it"),
        ("alice:", "line 1: expected `name: key`, and behind it"),
        ("\nalice: short-secret", "line 2: 'alice': the key has 12 characters and needs 16 at least"),
        (f"alice: {'x' * 513}", "line 1: 'alice': the key has 513 characters, more than 512"),
        ("alice: secret-with-a-€-in-it", "line 1: 'alice': the key has a character that no key may have"),
        (f"sk secret: {ALICE}", "line 1: a name has letters, digits, dots, dashes and underscores"),
        (f"scout-deploy: {ALICE}", "line 1: the name 'scout-deploy' is scout-deploy's own"),
        (f"alice: {ALICE} secret", "line 1: 'alice': behind its key, expected requests_per_minute=N or"),
        (f"alice: {ALICE} max_concurrent=1 max_concurrent=2", "line 1: 'alice': behind its key, expected"),
        (f"alice: {ALICE} max_concurrent=1.5", "'alice': max_concurrent should be a whole number, 1 or more"),
        (f"alice: {ALICE} requests_per_minute=secret", "'alice': requests_per_minute should be a number above 0"),
        (f"alice: {ALICE} requests_per_minute=nan", "'alice': requests_per_minute should be a number above 0"),
        (f"alice: {ALICE} requests_per_minute=inf", "'alice': requests_per_minute should be a number above 0"),
        (f"alice: {ALICE} max_concurrent=0", "'alice': max_concurrent should be a whole number, 1 or more"),
        (f"alice: {ALICE}\n\nalice: {BOB}", "line 3: 'alice' is on line 1 already"),
        (f"alice: {ALICE}\nbob: {ALICE}", "line 2: 'bob' has the same key as 'alice' on line 1"),
        ("", "keys: there is no API key in it"),
        ("# alice: nobody", "keys: there is no API key in it"),
    ],
)
def test_what_is_wrong_is_named_by_its_line_and_never_shown(text: str, expected: str) -> None:
    (problem,) = problems(text)

    assert problem.startswith("keys: ")
    assert expected in problem
    assert not any(secret in problem for secret in (ALICE, BOB, "secret", "colon", "x" * 8))


def test_every_wrong_line_is_named_at_once() -> None:
    assert [one.partition(": ")[2].partition(":")[0] for one in problems(f"a: short\nb: {BOB}\nc: {BOB}\nd")] == [
        "line 1",
        "line 3",
        "line 4",
    ]


def test_a_new_key_is_one_that_is_taken_and_that_nobody_has() -> None:
    made = {new_key() for _ in range(100)}

    assert len(made) == 100
    assert {key_problem(one) for one in made} == {None}


@pytest.mark.parametrize("limits", [(None, None), (60.0, None), (0.5, 3)])
def test_a_line_that_is_written_is_read_again(limits: tuple[float | None, int | None]) -> None:
    key = NamedKey(name="alice", key=new_key(), requests_per_minute=limits[0], max_concurrent=limits[1])

    assert parse_keys(key_line(key), "keys", NO_LIMITS) == (key,)


def test_a_key_is_not_shown_where_the_whole_is() -> None:
    assert ALICE not in repr(NamedKey(name="alice", key=ALICE))
