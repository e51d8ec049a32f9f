"""Engines that come too late for the requests that would wait for them are refused beforehand."""

import pytest

from scout_deploy.errors import DeployError
from scout_deploy.runtimes.hold_check import check_hold


@pytest.mark.parametrize("estimate_s", [None, 30.0])
def test_engines_that_come_in_time_are_waited_for(estimate_s: float | None) -> None:
    check_hold(estimate_s, max_hold_s=900, deadline_s=600)


@pytest.mark.parametrize(
    ("max_hold_s", "deadline_s", "key", "edit"),
    [
        (300, 600, "update/max_hold_s", "--set update.max_hold_s=1200"),
        (900, 200, "proxy/limits/deadline_s", "--set proxy.limits.deadline_s=1200"),
    ],
)
def test_the_limit_that_is_too_short_is_named_with_the_edit(
    max_hold_s: float, deadline_s: float, key: str, edit: str
) -> None:
    with pytest.raises(DeployError, match=key) as caught:
        check_hold(600, max_hold_s=max_hold_s, deadline_s=deadline_s)

    assert edit in str(caught.value.next_step)
