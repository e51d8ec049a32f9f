"""What `rocm-smi --json` prints, read. Pure. Unproven on hardware: written from answers that users posted."""

import json
import re

from scout_deploy.gpus.gpu import Gpu

QUERY_ARGV = (
    "rocm-smi",
    "--showuniqueid",
    "--showproductname",
    "--showmeminfo",
    "vram",
    "--showdriverversion",
    "--json",
)
_CARD = re.compile(r"^card(\d+)$")


def parse_cards(output: str) -> tuple[Gpu, ...]:
    """Read the cards; text around the JSON document is passed over.

    The keys are written differently by versions of the tool (`Card series`, `Card Series`), so case does not count.

    Raises:
        ValueError: It is no JSON document of cards.
    """
    start, end = output.find("{"), output.rfind("}")
    if not 0 <= start < end:
        raise ValueError(f"rocm-smi printed no JSON: {output.strip()[:200]}")
    document = json.loads(output[start : end + 1])
    cards = [(int(match[1]), card) for key, card in document.items() if (match := _CARD.match(key))]
    return tuple(_gpu(index, card) for index, card in sorted(cards, key=lambda pair: pair[0]) if isinstance(card, dict))


def driver_version(output: str) -> str | None:
    """Return the kernel driver's version, where the tool says it."""
    found = re.search(r'"Driver version"\s*:\s*"([^"]+)"', output, re.IGNORECASE)
    return found[1] if found else None


def _gpu(index: int, card: dict[object, object]) -> Gpu:
    values = {str(key).lower(): str(value) for key, value in card.items() if str(value) not in {"", "N/A"}}
    return Gpu(
        index=index,
        uuid=values.get("unique id", ""),
        name=_name(values),
        vendor="amd",
        memory_total_bytes=_bytes(values.get("vram total memory (b)")),
        memory_used_bytes=_bytes(values.get("vram total used memory (b)")),
        compute_capability=values.get("gfx version"),
    )


def _name(values: dict[str, str]) -> str:
    # Some versions give the model as a PCI id (0x740f) and the series in words, others the other way round.
    words = [values.get(key, "") for key in ("card series", "card model", "device name")]
    return next((word for word in words if word and not word.startswith("0x")), "AMD GPU")


def _bytes(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None
