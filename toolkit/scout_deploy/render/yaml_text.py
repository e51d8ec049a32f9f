"""A document as YAML that every reader takes for the same. Pure."""

import re
from typing import ClassVar

import yaml
from yaml.representer import BaseRepresenter

from scout_deploy.render.service import Section

# Of anything else, one of YAML's two versions may make a number: Compose v2 reads 1.2, and PyYAML writes for 1.1.
_PLAIN = re.compile(r"(?:-{0,2}[A-Za-z]|\.?/)(?:[A-Za-z0-9_./@,=-]|:(?=\S))*")
# Long texts are labels and commands, which nobody reads better in pieces.
_WIDTH = 1_000_000


def _represent_text(dumper: BaseRepresenter, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _Dumper(yaml.SafeDumper):
    """Quotes what is not plainly a word."""

    yaml_representers: ClassVar = yaml.SafeDumper.yaml_representers | {str: _represent_text}


def yaml_text(document: Section) -> str:
    """Return the document as YAML."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
