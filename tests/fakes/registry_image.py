"""Images as a registry has them: blobs by digest and a manifest, from `docker save` or made up."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, kw_only=True)
class RegistryImage:
    """An image; its layers are tars that are not compressed, so that a pull moves as many bytes as they have."""

    config: bytes
    layers: tuple[bytes, ...]

    @property
    def manifest(self) -> bytes:
        layers = [_descriptor(_LAYER_TYPE, layer) for layer in self.layers]
        config = _descriptor(_CONFIG_TYPE, self.config)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
        return json.dumps(manifest, indent=2).encode()

    @property
    def digest(self) -> str:
        """What `image@sha256:...` names it by."""
        return digest(self.manifest)

    def blobs(self) -> dict[str, bytes]:
        return {digest(blob): blob for blob in (self.config, *self.layers)}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": media_type, "size": len(content), "digest": digest(content)}


def saved_image(tarball: Path) -> RegistryImage:
    """Read the first image of what `docker save` wrote."""
    with tarfile.open(tarball) as archive:
        (first, *_) = json.loads(_member(archive, "manifest.json"))
        return RegistryImage(
            config=_member(archive, first["Config"]),
            layers=tuple(_member(archive, name) for name in first["Layers"]),
        )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise AssertionError(f"{name} is no file of the saved image")
    return file.read()


def made_up_image(layer_bytes: Sequence[int], labels: dict[str, str] | None = None) -> RegistryImage:
    """Make an image that can be pulled, not run: one file of so many random bytes in each layer."""
    layers = tuple(_layer(f"layer-{number}", size) for number, size in enumerate(layer_bytes))
    created = datetime.now(UTC).isoformat()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Cmd": ["/layer-0"], "Labels": labels or {}},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created": created, "created_by": "made up"} for _ in layers],
    }
    return RegistryImage(config=json.dumps(config).encode(), layers=layers)


def _layer(name: str, size: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o644
        archive.addfile(entry, io.BytesIO(os.urandom(size)))
    return written.getvalue()
