"""From a profile's name or path to a `Profile`, with every problem named where it was written."""

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from scout_deploy.profile.catalogue import (
    display_path,
    expand_home,
    find_profile,
    is_path,
    profile_directories,
    unknown_profile,
)
from scout_deploy.profile.document import plain_scalar
from scout_deploy.profile.layers import merge, override_layer, read_layers
from scout_deploy.profile.problem import Problem, profile_error
from scout_deploy.profile.profile import Profile
from scout_deploy.profile.tree import Mapping, Node, Scalar, Sequence, changed_at, find, leaves, plain
from scout_deploy.profile.validation import problems_of
from scout_deploy.profile.variables import VariableError, expand

# Keys that hold paths on this machine: a relative one starts at the folder of the file that names it.
_PATH_KEYS = (("model", "path"), ("proxy", "keys", "file"))


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedProfile:
    """A profile, and where it came from.

    Args:
        name: The file's name without its ending.
        path: The profile's own file.
        chain: That file first, then what it extends.
        raw: What the files and `--set` say, merged; references to variables as they are written, no defaults.
        origins: Where each value of `raw` was written, by its key path such as `proxy/port`.
        references: The text of each value that a variable went into, by its key path: show it in place of the value.
    """

    name: str
    path: Path
    profile: Profile
    chain: tuple[Path, ...]
    raw: AbstractMapping[str, object]
    origins: AbstractMapping[str, str]
    references: AbstractMapping[str, str]


def load_profile(
    name_or_path: str,
    *,
    environment: AbstractMapping[str, str],
    overrides: AbstractMapping[str, str] | None = None,
    directories: tuple[Path, ...] | None = None,
) -> LoadedProfile:
    """Load a profile with everything it extends, its variables and the values given with `--set`.

    Args:
        name_or_path: A name is looked up in `directories`; what has a `/` or ends in .yaml or .yml is a path.
        environment: For `${env:NAME}`, and for where the user's own profiles lie.
        overrides: Dotted keys and the text of their values, as `parse_overrides` returns them.
        directories: Instead of the user's own folder and the shipped one.

    Raises:
        ProfileError: There is no such profile, or it is not usable: every problem on a line of its own.
    """
    searched = profile_directories(environment) if directories is None else directories
    path, source = _locate(name_or_path, searched)
    layers = read_layers(path, source, searched)
    override, override_problems = override_layer(overrides or {}, Path.cwd())
    # What is missing altogether has no line to name.
    nothing = Mapping(entries={}, place=replace(layers.root.place, line=None))
    merged = replace(merge(merge(nothing, layers.root), override), place=nothing.place)
    expansion = _Expander(environment)
    root = expansion.mapping(merged, ())
    problems = (*layers.problems, *override_problems, *expansion.problems)
    profile = _validated(root, problems)
    return LoadedProfile(
        name=path.stem,
        path=path,
        profile=profile,
        chain=layers.chain,
        raw={key: plain(node) for key, node in merged.entries.items()},
        origins={"/".join(key): str(leaf.place) for key, leaf in leaves(merged).items()},
        references=_references(root),
    )


def _references(root: Mapping) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, leaf in leaves(root).items():
        items = leaf.items if isinstance(leaf, Sequence) else (leaf,)
        for index, item in enumerate(items):
            if isinstance(item, Scalar) and item.variables and item.reference is not None:
                path = (*key, str(index)) if isinstance(leaf, Sequence) else key
                found["/".join(path)] = item.reference
    return found


def _locate(name_or_path: str, directories: tuple[Path, ...]) -> tuple[Path, str]:
    if is_path(name_or_path):
        return expand_home(name_or_path), name_or_path
    found = find_profile(name_or_path, directories) if name_or_path else None
    if found is None:
        raise unknown_profile(name_or_path, directories)
    return found, display_path(found)


class _Expander:
    """Puts variables and paths into a tree, and notes what it could not."""

    def __init__(self, environment: AbstractMapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[Problem] = []

    def mapping(self, node: Mapping, key: tuple[str, ...]) -> Mapping:
        entries = {name: self._node(child, (*key, name)) for name, child in node.entries.items()}
        return replace(node, entries={name: child for name, child in entries.items() if child is not None})

    def _node(self, node: Node, key: tuple[str, ...]) -> Node | None:
        if isinstance(node, Mapping):
            return self.mapping(node, key)
        if isinstance(node, Sequence):
            items = [self._node(item, (*key, str(index))) for index, item in enumerate(node.items)]
            return replace(node, items=tuple(item for item in items if item is not None))
        return self._scalar(node, key)

    def _scalar(self, node: Scalar, key: tuple[str, ...]) -> Scalar | None:
        if not isinstance(node.value, str):
            return node
        try:
            expansion = expand(node.value, self._environment)
        except VariableError as error:
            self.problems.append(Problem(place=node.place, key=key, got=error.got, expected=error.expected))
            return None
        text = str(node.place.directory / expand_home(expansion.text)) if key in _PATH_KEYS else expansion.text
        reference = node.value if expansion.changed else None
        return replace(node, value=text, reference=reference, variables=expansion.variables)


def _validated(root: Mapping, problems: AbstractSequence[Problem]) -> Profile:
    try:
        profile = Profile.model_validate(plain(root))
    except ValidationError as error:
        typed = _typed(root, error)
        if typed != root:
            return _validated(typed, problems)
        found = problems_of(error, root)
        raise profile_error((*_without_consequences(found, problems, root), *problems)) from None
    if problems:
        raise profile_error(problems)
    return profile


def _without_consequences(
    found: AbstractSequence[Problem], noted: AbstractSequence[Problem], root: Mapping
) -> list[Problem]:
    """Leave out what only follows from a problem inside, or from a value that was dropped with a problem of its own."""
    inner = {problem.key for problem in found}
    dropped = {problem.key for problem in noted if find(root, problem.key) is None}

    def follows(key: tuple[str, ...]) -> bool:
        return any(other[: len(key)] == key for other in (*dropped, *(inner - {key})))

    return [problem for problem in found if not follows(problem.key)]


def _typed(root: Mapping, error: ValidationError) -> Mapping:
    """Give the text of variables the type that it has without quotes, where text was not what is expected."""
    node: Node = root
    for detail in error.errors():
        node = changed_at(node, tuple(map(str, detail["loc"])), _without_quotes)
    return replace(root, entries=node.entries) if isinstance(node, Mapping) else root


def _without_quotes(leaf: Scalar) -> Scalar:
    if leaf.reference is None or not isinstance(leaf.value, str):
        return leaf
    value = plain_scalar(leaf.value)
    return leaf if value is None else replace(leaf, value=value)
