"""One request, ready to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass

from scout_loadtest.workload.kind import Kind


@dataclass(frozen=True, kw_only=True)
class PlannedRequest:
    """What goes over the wire, and what is expected back.

    Args:
        index: Its place in the plan.
        sequences: How many texts are asked for.
    """

    index: int
    kind: Kind
    path: str
    headers: Mapping[str, str]
    body: bytes
    sequences: int = 1

    @property
    def is_streamed(self) -> bool:
        """Whether its answer comes piece by piece."""
        return self.kind.is_streamed

    @property
    def is_chat(self) -> bool:
        """Whether it speaks OpenAI's protocol."""
        return self.kind is Kind.CHAT
