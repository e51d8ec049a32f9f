"""The Grafana dashboard and the Prometheus rules that are shipped, and what they ask for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
DASHBOARD: dict[str, Any] = json.loads((INFRA / "grafana/scout-deploy.json").read_text(encoding="utf-8"))
_VARIABLE = re.compile(r"\$(\w+)")


def queries() -> Iterator[tuple[str, str]]:
    """Return the panel and the expression of each query, as Grafana sends it where nothing is chosen."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], expanded(target["expr"])
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], expanded(annotation["expr"])


def expanded(expression: str) -> str:
    """Replace the dashboard's variables and Grafana's own; one that does not exist is a KeyError."""
    values = {"__rate_interval": "10s"}
    for variable in DASHBOARD["templating"]["list"]:
        values[variable["name"]] = variable.get("allValue") or variable["query"]
    return _VARIABLE.sub(lambda match: str(values[match[1]]), expression)


def rules() -> Iterator[dict[str, Any]]:
    """Return every rule that records or alerts."""
    for path in sorted((INFRA / "prometheus").glob("*-rules.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]
