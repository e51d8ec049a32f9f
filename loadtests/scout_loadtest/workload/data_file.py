"""Files of JSON lines that say how long prompts and answers are: ours beside this file, or the user's own."""

from hashlib import sha256
from pathlib import Path

from scout_loadtest.errors import InputError
from scout_loadtest.workload.data_row import DataRow, RowError, read_row

SHIPPED = Path(__file__).with_name("lengths.jsonl")
_NEXT = (
    'each line is {"prompt": ..., "max_length": ...} or {"input_tokens": ..., "output_tokens": ...}; '
    "lines that are empty or begin with # are left out"
)


def read_data(path: Path | None) -> tuple[DataRow, ...]:
    """Return the rows of a file, the shipped one where none is given.

    Raises:
        InputError: It cannot be read, or a line of it says something else; names file and line.
    """
    path = path or SHIPPED
    try:
        # Some editors begin a file with a byte order mark.
        lines = _bytes_of(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8 text: byte {exc.start} is wrong", "write it as UTF-8") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                rows.append(read_row(line))
            except RowError as exc:
                raise InputError(f"{path}:{number}: {exc}", _NEXT) from None
    if not rows:
        raise InputError(f"{path} has no line with a prompt or lengths", _NEXT)
    return tuple(rows)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        InputError: It cannot be read.
    """
    return sha256(_bytes_of(path)).hexdigest()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}", "give a file of JSON lines") from None
