"""What the daemon remembers of an engine that was started again."""

from scout_deploy.runtimes.postmortem import last_end

OOM = {"event": "oom", "time_s": "1"}


def died(code: int) -> dict[str, str]:
    return {"event": "die", "time_s": "2", "exitCode": str(code)}


def test_memory_that_ran_out_in_an_earlier_life_is_no_cause_of_the_last_death() -> None:
    assert last_end((OOM, died(137), died(139))) == (died(139), False)


def test_memory_that_ran_out_in_the_last_life_is() -> None:
    assert last_end((died(139), OOM, died(137))) == (died(137), True)


def test_daemon_that_remembers_nothing_says_nothing() -> None:
    assert last_end(()) == (None, False)
