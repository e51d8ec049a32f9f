"""The embedded engine's adapter: `scout_engine`, TGI's protocol over llama.cpp, as a local process."""

import re
import signal

from scout_deploy.engines.adapter import Explanation, StartPhase
from scout_deploy.errors import (
    DeployError,
    EngineExitedError,
    ExtraMissingError,
    ModelFileError,
    PortInUseError,
    ProfileError,
)

INSTALL_EXTRA = "pip install 'scout-deploy[embedded]'"

# The engine's documented lines: "scout-engine: phase=NAME key=value ..." and "scout-engine: error: ...".
_PHASE = re.compile(r"scout-engine: phase=(?P<name>[\w-]+)\s*(?P<rest>.*)")
_ERROR = re.compile(r"scout-engine: error: (?P<message>.*)")

# The engine's documented exit statuses; its own message always says more than these.
_CAUSES: dict[int, type[DeployError]] = {
    2: ProfileError,
    3: ModelFileError,
    4: PortInUseError,
    5: ExtraMissingError,
}


class EmbeddedAdapter:
    """Reads what `scout_engine` prints and how it ends."""

    def read_phase(self, line: str) -> StartPhase | None:
        """See `EngineAdapter.read_phase`."""
        match = _PHASE.search(line)
        return None if match is None else StartPhase(name=match["name"], detail=match["rest"] or None)

    def explain_exit(self, code: int, lines: tuple[str, ...]) -> Explanation:
        """See `EngineAdapter.explain_exit`; the engine's own error line is the cause wherever it wrote one."""
        for line in reversed(lines):
            if (match := _ERROR.search(line)) is not None:
                return Explanation(exit_code=_CAUSES.get(code, EngineExitedError).exit_code, cause=match["message"])
        if code < 0:
            return _explain_signal(-code)
        return Explanation(exit_code=EngineExitedError.exit_code, cause=f"the engine exited with status {code}")


_SIGNALS: dict[int, tuple[str, str]] = {
    signal.SIGKILL: (
        "most often the kernel, out of memory",
        "choose a smaller model or a smaller engine/context_length",
    ),
    signal.SIGILL: ("most likely this CPU lacks AVX2, which llama.cpp was built for", "use a machine with AVX2"),
}


def _explain_signal(number: int) -> Explanation:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely, next_step = _SIGNALS.get(number, (None, None))
    return Explanation(
        exit_code=EngineExitedError.exit_code,
        cause=f"the engine was ended by {name}" + (f" ({likely})" if likely else ""),
        next_step=next_step,
    )
