"""The demonstration model's own template, as a deployment puts it into the route table."""

from pathlib import Path

import scout_engine
from scout_deploy.gguf.facts import read_gguf
from scout_proxy.route_table import Template


def demo_template() -> Template:
    facts = read_gguf(Path(scout_engine.__file__).parent / "demo/scout-demo-q8_0.gguf")
    assert facts.chat_template is not None
    return Template(
        chat_template=facts.chat_template,
        bos_token=facts.bos_token or "",
        eos_token=facts.eos_token or "",
        special_tokens=facts.special_tokens,
    )
