import signal

import pytest

from scout_deploy.engines.adapter import Explanation, StartPhase
from scout_deploy.engines.embedded import EmbeddedAdapter

ADAPTER = EmbeddedAdapter()


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("scout-engine: phase=load model=/m/a.gguf", StartPhase(name="load", detail="model=/m/a.gguf")),
        ("scout-engine: phase=warm-up", StartPhase(name="warm-up")),
        ("scout-engine: phase=ready url=http://127.0.0.1:1", StartPhase(name="ready", detail="url=http://127.0.0.1:1")),
        ("llama_model_loader: loaded meta data", None),
    ],
)
def test_phases_are_read_off_the_engines_lines(line: str, phase: StartPhase | None) -> None:
    assert ADAPTER.read_phase(line) == phase


def test_the_engines_own_error_line_is_the_cause() -> None:
    lines = ("noise", "scout-engine: error: /m/a.gguf is not a GGUF file", "more noise")

    assert ADAPTER.explain_exit(3, lines) == Explanation(exit_code=10, cause="/m/a.gguf is not a GGUF file")


def test_a_signal_is_named_with_its_likely_cause() -> None:
    told = ADAPTER.explain_exit(-signal.SIGKILL, ())

    assert told.cause == "the engine was ended by SIGKILL (most often the kernel, out of memory)"
    assert told.next_step is not None


def test_an_unknown_end_is_shown_as_it_is() -> None:
    assert ADAPTER.explain_exit(77, ("noise",)).cause == "the engine exited with status 77"
    assert ADAPTER.explain_exit(-60, ()).cause == "the engine was ended by signal 60"
