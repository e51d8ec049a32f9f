"""A folder of weights that the played launcher serves: the demonstration model, a Llama 4 configuration, a play."""

import json
import shutil
import tomllib
from pathlib import Path

import scout_engine
from scout_deploy.gguf.facts import read_gguf

CONFIG = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text",
        "head_dim": 32,
        "hidden_size": 256,
        "max_position_embeddings": 8192,
        "num_attention_heads": 8,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
    },
}

# From the phases of a diagnosis to those of a play.
_PHASES = {"download": "download", "start": "load", "load": "load", "warm-up": "warm-up", "ready": "serving"}


def write_weights(folder: Path, **play: str | float) -> Path:
    """Write the folder, readable for every user, and return it; `play` is what `play.toml` says."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (model,) = (Path(str(scout_engine.__file__)).parent / "demo").glob("*.gguf")
    shutil.copyfile(model, folder / model.name)
    (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer(folder / model.name)), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    change_play(folder, **play)
    return folder


def _tokenizer(model: Path) -> dict[str, object]:
    """Say of the model's chat format what a published checkpoint says of its own."""
    facts = read_gguf(model)
    tokens = {str(index): {"content": text, "special": True} for index, text in enumerate(facts.special_tokens)}
    return {
        "chat_template": facts.chat_template,
        "bos_token": facts.bos_token,
        "eos_token": facts.eos_token,
        "added_tokens_decoder": tokens,
    }


def change_play(folder: Path, **play: str | float) -> None:
    """Say what is played from the next start on."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in play.items())
    (folder / "play.toml").write_text(lines, encoding="utf-8")


def play_recorded_death(folder: Path, recorded: Path) -> None:
    """Play from the next start on what a file of `tests/data/deaths` holds: its lines, phase and exit code.

    Raises:
        KeyError: It has no lines: the daemon refused, and no container wrote any.
    """
    death = tomllib.loads(recorded.read_text(encoding="utf-8"))
    (folder / "death.txt").write_text(death["lines"].strip("\n"), encoding="utf-8")
    at = _PHASES[death.get("phase", "load")]
    change_play(folder, die="recorded", at=at, exit_code=death.get("exit_code", 1))
