"""A table's place in a document, between two comments. Pure."""

START = "<!-- Written by `make hardware-table`; do not edit by hand. -->"
END = "<!-- End of what `make hardware-table` writes. -->"


def with_table(document: str, table: str) -> str:
    """Return the document with the table in its place.

    Raises:
        ValueError: It has no such place, or several.
    """
    if document.count(START) != 1 or document.count(END) != 1 or document.index(START) > document.index(END):
        raise ValueError(f"expected one line {START!r}, and one {END!r} after it")
    before, _, rest = document.partition(START)
    return f"{before}{START}\n\n{table}\n{END}{rest.partition(END)[2]}"
