"""An environment without Docker, also where this machine has it: what runs there is somebody else's business."""

import hashlib
import json
from pathlib import Path

_CONTEXT = "none"


def without_docker(folder: Path) -> dict[str, str]:
    """Return variables under which Docker's current context leads nowhere; empty ones count as unset."""
    config = folder / "docker"
    meta = config / "contexts" / "meta" / hashlib.sha256(_CONTEXT.encode()).hexdigest()
    meta.mkdir(parents=True, exist_ok=True)
    (config / "config.json").write_text(json.dumps({"currentContext": _CONTEXT}), encoding="utf-8")
    endpoint = {"Host": f"unix://{folder}/no-docker.sock", "SkipTLSVerify": False}
    described = {"Name": _CONTEXT, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(described), encoding="utf-8")
    return {"DOCKER_CONFIG": str(config), "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
