"""Which file holds the weights that the embedded engine is to serve."""

from importlib.util import find_spec
from pathlib import Path

from scout_deploy.errors import ExtraMissingError, ModelFileError
from scout_deploy.profile.profile import Profile

DEMONSTRATION_FILE = "demo/scout-demo-q8_0.gguf"


def require_embedded_engine() -> None:
    """Check that llama.cpp is installed, without loading it.

    Raises:
        ExtraMissingError: It is not.
    """
    if find_spec("xllamacpp") is None:
        raise ExtraMissingError(
            "the embedded engine is not installed (the package xllamacpp is missing)",
            next_step="pip install 'scout-deploy[embedded]'",
        )


def locate_model_file(profile: Profile) -> Path:
    """Return the profile's GGUF file, or that of the demonstration model; absolute, and there.

    Raises:
        ModelFileError: There is no such file.
    """
    if profile.model.path is None:
        return demonstration_model()
    path = Path(profile.model.path).expanduser().resolve()
    if path.is_dir():
        raise ModelFileError(f"the model path is a folder: {path}", next_step="name the GGUF file itself in model/path")
    if not path.exists():
        raise ModelFileError(
            f"the model file does not exist: {path}", next_step="correct model/path, or --set model.path=FILE.gguf"
        )
    return path


def demonstration_model() -> Path:
    """Return the model that ships with the product.

    Raises:
        ModelFileError: The installation lacks it.
    """
    # Found without importing the engine's package: the toolkit may not depend on it.
    spec = find_spec("scout_engine")
    folders = () if spec is None else tuple(spec.submodule_search_locations or ())
    for folder in folders:
        path = Path(folder) / DEMONSTRATION_FILE
        if path.is_file():
            return path
    raise ModelFileError("the demonstration model is missing from this installation", next_step="install it again")
