import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

_MOST_WORKERS = 8
_LEFT_OUT = pytest.StashKey[int]()

# A machine that is busy is no failure of what is tested, and what one run of the gate finds the next one finds too.
settings.register_profile(
    "busy machine", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--base-url",
        metavar="URL",
        help="run tests/contract against the API at this address instead of an embedded deployment of its own",
    )
    parser.addoption(
        "--run-docker",
        action="store_true",
        help="run the tests that need a Docker engine too; as root, one is started where none answers",
    )


def pytest_configure() -> None:
    """Drop a wish for colours that the caller has for pytest's own output: what is tested writes into pipes."""
    os.environ.pop("FORCE_COLOR", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say what `-n auto` means: more than there are processors, for many tests wait for a process or a container."""
    return min(_MOST_WORKERS, (os.cpu_count() or 1) + 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage: thousands of tests are none, and the tests' own is found without them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-docker"):
        return
    left_out = [item for item in items if item.get_closest_marker("docker")]
    config.stash[_LEFT_OUT] = len(left_out)
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


def pytest_report_collectionfinish(config: pytest.Config) -> str | list[str]:
    left_out = config.stash.get(_LEFT_OUT, 0)
    return f"{left_out} tests need a Docker engine and are left out; run them with --run-docker" if left_out else []
