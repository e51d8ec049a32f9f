"""A silence is said while it lasts, once."""

import threading

from scout_deploy.silence_alarm import SilenceAlarm


def test_a_silence_is_said_while_the_work_is_blocked() -> None:
    said = threading.Event()
    heard: list[float] = []

    def say(silent_s: float) -> None:
        heard.append(silent_s)
        said.set()

    with SilenceAlarm(0.01, say):
        assert said.wait(30)

    (silent_s,) = heard
    assert silent_s >= 0.01


def test_a_sign_of_life_ends_a_silence_and_another_one_is_said_again() -> None:
    heard: list[float] = []
    said = threading.Semaphore(0)

    def say(silent_s: float) -> None:
        heard.append(silent_s)
        said.release()

    with SilenceAlarm(0.01, say) as alarm:
        assert said.acquire(timeout=30)
        alarm.touch()
        assert said.acquire(timeout=30)

    assert len(heard) == 2


def test_nothing_is_said_where_there_are_signs_of_life() -> None:
    heard: list[float] = []
    now_s = 0.0

    with SilenceAlarm(0.01, heard.append, clock=lambda: now_s):
        threading.Event().wait(0.05)

    assert heard == []
