"""How far an image's download is, read off the daemon's stream of events. Pure.

What daemons really send: the size of a layer only when its download begins, and not always
(https://github.com/docker/docker-py/issues/876); after a connection that broke, only what is left of it as its total
(`distribution/pull_v2.go` in github.com/moby/moby); seconds instead of bytes for unpacking since Docker 29
(https://github.com/dstackai/dstack/pull/3921).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PullProgress:
    """A moment of a download.

    Args:
        layers: Those seen so far.
        layers_done: Those that are unpacked, or were there before.
        total_bytes: Of the layers whose size is known so far.
        percent: Of the whole download, 0 to 100, never less than before; layers of unknown size count as none of it.
            None before any size is known.
        is_extracting: A layer is being unpacked.
    """

    layers: int
    layers_done: int
    done_bytes: int
    total_bytes: int
    percent: float | None = None
    is_extracting: bool = False


@dataclass
class PullReader:
    """Adds up the events of one pull. `error` and `digest` are what the stream said last of them."""

    error: str | None = None
    digest: str | None = None
    _current: dict[str, int] = field(default_factory=dict)
    _total: dict[str, int] = field(default_factory=dict)
    _fetched: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)
    _layers: set[str] = field(default_factory=set)
    _extracting: set[str] = field(default_factory=set)
    _percent: float | None = None

    def read(self, event: Mapping[str, Any]) -> PullProgress:
        """Take one event and return how far the whole is."""
        status = str(event.get("status", ""))
        if "error" in event:
            self.error = str(event["error"])
        if status.startswith("Digest: "):
            self.digest = status.removeprefix("Digest: ").strip()
        layer = event.get("id")
        if isinstance(layer, str) and not status.startswith("Pulling from"):
            self._read_layer(layer, status, event.get("progressDetail") or {})
        return PullProgress(
            layers=len(self._layers),
            layers_done=len(self._done),
            done_bytes=sum(self._current.values()),
            total_bytes=sum(self._total.values()),
            percent=self._raised_percent(),
            is_extracting=bool(self._extracting - self._done),
        )

    def _read_layer(self, layer: str, status: str, detail: Mapping[str, Any]) -> None:
        self._layers.add(layer)
        if status == "Downloading":
            self._read_download(layer, int(detail.get("current") or 0), int(detail.get("total") or 0))
        elif status in {"Download complete", "Verifying Checksum", "Extracting", "Pull complete", "Already exists"}:
            if status == "Extracting":
                self._extracting.add(layer)
                # A small layer comes so fast that this is the first word on its size.
                if layer not in self._total and "units" not in detail:
                    self._total[layer] = int(detail.get("total") or 0)
            elif status in {"Pull complete", "Already exists"}:
                self._done.add(layer)
            self._fetched.add(layer)
            self._current[layer] = self._total.get(layer, 0)

    def _read_download(self, layer: str, current: int, told: int) -> None:
        if told <= 0:
            # Bytes of a layer of unknown size would be more than all of the known ones.
            return
        total = max(told, self._total.get(layer, 0))
        self._total[layer] = total
        self._current[layer] = min(total, total - told + current)

    def _raised_percent(self) -> float | None:
        done, total = sum(self._current.values()), sum(self._total.values())
        if total:
            known = len(self._total.keys() | self._fetched)
            now = 100 * done / total * known / len(self._layers)
            self._percent = max(self._percent or 0.0, now)
        return self._percent
