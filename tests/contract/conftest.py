from collections.abc import Iterator

import pytest

from contract.api import Api
from fakes.embedded_deployment import UserSpace, running_deployment


@pytest.fixture(scope="session")
def api(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API at --base-url, or that of an embedded deployment for the whole session."""
    base_url = pytestconfig.getoption("--base-url")
    if base_url is not None:
        yield Api(str(base_url).rstrip("/"))
        return
    user = UserSpace(tmp_path_factory.mktemp("contract"))
    with running_deployment(user, "contract") as deployment:
        yield Api(deployment.url)
