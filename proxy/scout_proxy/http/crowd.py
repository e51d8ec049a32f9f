"""How many connections are served at once."""

from dataclasses import dataclass

from uvicorn._types import ASGI3Application


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """Leaves files for connections to engines, whatever clients open.

    Args:
        most_served: Who comes above is answered by `refusal`.
        most_open: Who comes above that is not answered at all.
    """

    most_served: int
    most_open: int
    refusal: ASGI3Application

    @classmethod
    def of(cls, files: int, refusal: ASGI3Application) -> "Crowd":
        """Divide the files that the process may have open."""
        return cls(most_served=files * 3 // 4, most_open=files * 7 // 8, refusal=refusal)
