import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--base-url",
        metavar="URL",
        help="run tests/contract against the API at this address instead of an embedded deployment of its own",
    )
