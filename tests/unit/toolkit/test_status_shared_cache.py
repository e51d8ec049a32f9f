"""What `status` says of a shared Redis in trouble."""

from typing import Any

import pytest

from scout_deploy.cli.container_status import ContainerStatus, show_containers
from scout_deploy.cli.output import Output
from scout_deploy.cli.shared_cache import show_trouble
from scout_deploy.containers.observation import ContainerObservation


@pytest.mark.parametrize(
    ("shared", "line"),
    [
        (
            {"state": "unavailable", "reason": "redis://cache:6379: it refuses connections"},
            "  cache     the shared Redis is unavailable: redis://cache:6379: it refuses connections\n",
        ),
        (
            {"state": "read_only", "reason": "redis://cache:6379 takes no answers: OOM"},
            "  cache     the shared Redis is read only: redis://cache:6379 takes no answers: OOM\n",
        ),
        ({"state": "unavailable", "reason": None}, "  cache     the shared Redis is unavailable\n"),
        ({"state": "ok", "reason": None}, ""),
        (None, ""),
    ],
)
def test_trouble_is_one_line(shared: dict[str, Any] | None, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_trouble(Output(as_json=False), {"shared_cache": shared})

    assert capsys.readouterr().out == line


def test_a_proxy_that_does_not_answer_says_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_trouble(Output(as_json=False), None)

    # One of an older version.
    show_trouble(Output(as_json=False), {"status": "ok"})

    assert capsys.readouterr().out == ""


def test_it_is_part_of_what_is_said_of_containers(capsys: pytest.CaptureFixture[str]) -> None:
    proxy = {"shared_cache": {"state": "unavailable", "reason": "redis://cache:6379: it refuses connections"}}
    seen = ContainerObservation(name="scout", containers=())

    show_containers(
        Output(), ContainerStatus(seen=seen, proxy=proxy, memory_bytes={}, changed_by=None, drift=(), failure=None)
    )

    assert "the shared Redis is unavailable: redis://cache:6379" in capsys.readouterr().out
