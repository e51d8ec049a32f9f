"""How huggingface_hub speaks HTTP for the toolkit: in small pieces, for downloads to be cut, watched and ended."""

import threading
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse

from scout_deploy.weights.failures import DownloadCancelledError

# huggingface_hub asks for 10 MiB at a time, and what a broken connection had brought of them is lost: on a line that
# breaks often nothing would ever arrive, and on a slow one progress would come in jumps.
PIECE_BYTES = 256 * 1024

# The largest file that the hub serves over plain HTTP (`MAX_HTTP_DOWNLOAD_SIZE` of huggingface_hub).
_MOST_PLAIN_BYTES = 50 * 1000**3


class HubSession(requests.Session):
    """A session whose every request ends soon after `cancelled` is set.

    Args:
        refusal: Raised in place of every request; None to let them pass.
    """

    def __init__(self, cancelled: threading.Event, *, refusal: Exception | None = None) -> None:
        super().__init__()
        self._cancelled = cancelled
        self._refusal = refusal
        self._last: requests.Response | None = None
        adapter = _Adapter(cancelled)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, unless it is too late."""
        if self._refusal is not None:
            raise self._refusal
        if self._cancelled.is_set():
            raise DownloadCancelledError
        self._last = super().send(request, **kwargs)
        return self._last

    def end_last(self) -> None:
        """Close the connection of the last answer where nobody read it to its end."""
        if self._last is not None:
            self._last.close()
            self._last = None


class _Adapter(HTTPAdapter):
    def __init__(self, cancelled: threading.Event) -> None:
        super().__init__()
        self._cancelled = cancelled

    def build_response(self, req: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
        response = super().build_response(req, resp)
        response.raw = _Body(resp, self._cancelled)
        if int(response.headers.get("X-Linked-Size", 0)) <= _MOST_PLAIN_BYTES:
            # Without it huggingface_hub takes plain HTTP even where hf_xet is installed, which begins a file anew after
            # each cut (https://github.com/huggingface/xet-core/issues/358).
            response.headers.pop("X-Xet-Hash", None)
        return response


class _Body:
    """An answer's body that comes in small pieces, and ends when the download is cancelled."""

    def __init__(self, body: BaseHTTPResponse, cancelled: threading.Event) -> None:
        self._body = body
        self._cancelled = cancelled

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """Give the body piece by piece."""
        for piece in self._body.stream(min(amt or PIECE_BYTES, PIECE_BYTES), decode_content):
            yield piece
            if self._cancelled.is_set():
                self._body.close()
                raise DownloadCancelledError

    def __getattr__(self, name: str) -> object:
        return getattr(self._body, name)
