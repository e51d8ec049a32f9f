"""The options of `bench` that are lists."""

from collections.abc import Mapping

from scout_deploy.errors import ProfileError

_MOST_USERS = 10_000


def users_of(text: str) -> tuple[int, ...]:
    """Read `1,2,4,8`.

    Raises:
        ProfileError: It is no such list.
    """
    try:
        users = tuple(int(one) for one in text.split(","))
    except ValueError:
        users = ()
    if not users or not all(1 <= one <= _MOST_USERS for one in users):
        raise ProfileError(f"--users: got {text!r}, expected whole numbers from 1 to {_MOST_USERS}, as in 1,2,4,8")
    return users


def mix_of(text: str) -> Mapping[str, float]:
    """Read `unique=3,repeated=1`; which kinds there are is known by what sends them.

    Raises:
        ProfileError: It is no such list.
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        kind, is_given, weight = part.partition("=")
        try:
            mix[kind.strip()] = float(weight) if is_given else 1.0
        except ValueError:
            mix[""] = 0.0
    if "" in mix or not all(0 < weight < float("inf") for weight in mix.values()):
        raise ProfileError(f"--mix: got {text!r}, expected kinds with weights above 0, as in unique=3,repeated=1")
    return mix
