"""`${env:NAME}` in the values of a profile."""

import pytest

from scout_deploy.profile.variables import VariableError, expand

_ENVIRONMENT = {"HOST": "10.0.0.1", "EMPTY": "", "BINARY": "a\nb", "SURROGATE": "\udcff"}


@pytest.mark.parametrize(
    ("text", "expanded", "variables"),
    [
        ("plain", "plain", ()),
        ("${env:HOST}", "10.0.0.1", ("HOST",)),
        ("http://${env:HOST}:${env:PORT:-80}/", "http://10.0.0.1:80/", ("HOST",)),
        ("${env:HOST:-other}", "10.0.0.1", ("HOST",)),
        ("${env:MISSING:-}", "", ()),
        ("${env:EMPTY:-full}", "full", ()),
        ("$${env:HOST}", "${env:HOST}", ()),
        ("costs $5 {and} $HOST", "costs $5 {and} $HOST", ()),
    ],
)
def test_references_are_resolved(text: str, expanded: str, variables: tuple[str, ...]) -> None:
    expansion = expand(text, _ENVIRONMENT)

    assert (expansion.text, expansion.variables) == (expanded, variables)


def test_a_value_is_not_expanded_again() -> None:
    assert expand("${env:A}", {"A": "${env:B}", "B": "secret"}).text == "${env:B}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "${env:MISSING}",
            (
                "got ${env:MISSING}, which is not set in the environment, "
                "expected a value: set MISSING, or write ${env:MISSING:-default}"
            ),
        ),
        (
            "${env:EMPTY}",
            (
                "got ${env:EMPTY}, which is empty in the environment, "
                "expected a value: set EMPTY, or write ${env:EMPTY:-default}"
            ),
        ),
        ("${HOST}", "got '${HOST}', expected ${env:NAME} or ${env:NAME:-default} (`$${` is a plain `${`)"),
        ("${env:1X}", "got '${env:1X}', expected ${env:NAME} or ${env:NAME:-default} (`$${` is a plain `${`)"),
        ("${env:HOST", "got '${env:HOST', expected ${env:NAME} or ${env:NAME:-default} (`$${` is a plain `${`)"),
        ("${env:BINARY}", "got ${env:BINARY}, which holds characters that are no text, expected one line of text"),
        (
            "${env:SURROGATE}",
            "got ${env:SURROGATE}, which holds characters that are no text, expected one line of text",
        ),
    ],
)
def test_a_reference_that_cannot_be_resolved_says_why(text: str, message: str) -> None:
    with pytest.raises(VariableError) as caught:
        expand(text, _ENVIRONMENT)

    assert str(caught.value) == message
