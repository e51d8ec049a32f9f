import pytest

from scout_deploy.engines.tgi.versions import KNOWN_VERSIONS, LATEST, LATEST_NUMBERS, nearest_version, parse_version


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("3.3.9", "3.3.7"),
        ("3.3", "3.3.7"),
        ("3.1.5", "3.1.1"),
        ("3.9.0", "3.3.7"),
        ("v3.2.3", "3.2.3"),
        ("2.4.1", "3.3.7"),
        ("latest", "3.3.7"),
        ("", "3.3.7"),
    ],
)
def test_the_nearest_version_is_of_the_same_series(text: str, nearest: str) -> None:
    assert nearest_version(text) == nearest


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3.3.7", (3, 3, 7)), ("v3.0.0", (3, 0, 0)), ("3.3.6-dev0", (3, 3, 6)), ("3.3", None), ("latest", None)],
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == numbers


def test_the_latest_is_the_last() -> None:
    assert [parse_version(one) for one in KNOWN_VERSIONS] == sorted(parse_version(one) or () for one in KNOWN_VERSIONS)
    assert parse_version(LATEST) == LATEST_NUMBERS
