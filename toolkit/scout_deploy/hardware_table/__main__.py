"""`python -m scout_deploy.hardware_table README.md README.zh.md`: writes the table into documents anew."""

import argparse
import sys
from pathlib import Path

from scout_deploy.hardware_table.document import with_table
from scout_deploy.hardware_table.table import Language, hardware_table


def main(arguments: list[str] | None = None) -> int:
    """Write the table into each document; return the process's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scout_deploy.hardware_table", description="Write the table of hardware into documents."
    )
    parser.add_argument("documents", nargs="+", type=Path, metavar="DOCUMENT")
    for path in parser.parse_args(arguments).documents:
        try:
            path.write_text(with_table(path.read_text(encoding="utf-8"), hardware_table(language_of(path))), "utf-8")
        except (OSError, ValueError) as exc:
            print(f"error: {path}: {exc}", file=sys.stderr)
            return 1
    return 0


def language_of(path: Path) -> Language:
    """Return the language of a document by its name: `README.zh.md` is Chinese."""
    return "zh" if path.name.endswith(".zh.md") else "en"


if __name__ == "__main__":
    sys.exit(main())
