"""Our own load generators' requests, as bytes."""

from collections.abc import Sequence
from urllib.parse import urlsplit

# A number of this length, different in every request, makes its prompt one that was never asked before.
PLACEHOLDER = "0" * 16


def request_parts(url: str, body: str, headers: Sequence[str]) -> tuple[bytes, bytes]:
    """Return what comes before and after the number in a POST of this body, which has `PLACEHOLDER` in it once."""
    target = urlsplit(url)
    content = body.encode()
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *headers,
    ]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
    before, _, after = request.partition(PLACEHOLDER.encode())
    return before, after
