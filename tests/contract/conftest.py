from collections.abc import Iterator

import pytest

from contract.api import Api
from fakes.command_line import command_line


@pytest.fixture(scope="session")
def api(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API at --base-url, or that of an embedded deployment for the whole session."""
    base_url = pytestconfig.getoption("--base-url")
    if base_url is not None:
        yield Api(str(base_url).rstrip("/"))
        return
    with command_line(tmp_path_factory.mktemp("contract")) as cli:
        cli.up()
        yield Api(cli.url)
