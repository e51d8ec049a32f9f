"""Sends requests and returns their records. One greenlet per request; connections are kept and used again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import gevent
from gevent.ssl import SSLContext, create_default_context
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPSocketPoolResponse

from scout_loadtest.client.answer import (
    End,
    Failed,
    Pieces,
    Usage,
    check_texts,
    message_of,
    read_chat_event,
    read_generate_event,
)
from scout_loadtest.client.events import Event, EventReader
from scout_loadtest.client.failure import TROUBLES, ExpiredError, RequestError, describe, kind_of_status
from scout_loadtest.client.token_clock import TokenClock
from scout_loadtest.errors import InputError
from scout_loadtest.record import ErrorKind, Record, TokenSource
from scout_loadtest.workload.request import PlannedRequest

_EVENT_STREAM = "text/event-stream"
_GENERATED = {"MISS", "BYPASS"}
_MS_OF_TWO_DIGITS = 2
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class Course:
    """What has been seen of one request so far."""

    tokens: TokenClock = field(default_factory=TokenClock)
    status: int | None = None
    usage: Usage | None = None
    generated: int | None = None
    cache: str | None = None
    queued_ms: float | None = None
    ended_s: float | None = None


class ApiClient:
    """A client of one API.

    Args:
        url: Base address, such as `http://127.0.0.1:2025`.
        connections: The most at a time.
        timeout_s: For a whole request.
        clock: Gives seconds since the load began.
        headers: Of every request, beside its own.

    Raises:
        InputError: `url` is not an http or https address.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        timeout_s: float,
        api_key: str | None,
        clock: Callable[[], float],
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._prefix = _path_of(url)
        self._clock = clock
        self._timeout_s = timeout_s
        sent = {"User-Agent": "scout-loadtest", **headers}
        if api_key:
            sent["Authorization"] = f"Bearer {api_key}"
        self._http = HTTPClient.from_url(
            url,
            headers=sent,
            concurrency=connections,
            connection_timeout=timeout_s,
            network_timeout=timeout_s,
            ssl_context_factory=_trusting_like_this_machine,
        )

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._http.close()

    def send(self, request: PlannedRequest, *, due_s: float | None = None, is_warm_up: bool = False) -> Record:
        """Send a request and wait for its answer, whole or not.

        Args:
            due_s: When it should have been sent; now where it is None.
        """
        course = Course()
        sent_s = self._clock()
        error: tuple[ErrorKind, str] | None = None
        try:
            with gevent.Timeout(self._timeout_s, ExpiredError(f"no whole answer in {self._timeout_s:g} s")):
                self._exchange(request, course)
        except TROUBLES as exc:
            # What comes after the end, such as a connection that breaks, takes nothing from the answer.
            if course.ended_s is None:
                error = describe(exc, has_begun=course.status is not None, is_streamed=request.is_streamed)
        return _record(
            request,
            course,
            due_s=sent_s if due_s is None else due_s,
            sent_s=sent_s,
            ended_s=self._clock() if course.ended_s is None else course.ended_s,
            error=error,
            is_warm_up=is_warm_up,
        )

    def _exchange(self, request: PlannedRequest, course: Course) -> None:
        response = self._http.request("POST", self._prefix + request.path, request.body, dict(request.headers))
        try:
            self._read(request, response, course)
        except BaseException:
            # A connection with the rest of an answer in it is of no use.
            if not response.message_complete:
                response.release()
            raise

    def _read(self, request: PlannedRequest, response: HTTPSocketPoolResponse, course: Course) -> None:
        course.status = response.status_code
        course.cache = _header(response, "x-cache")
        course.queued_ms = _queued_ms(response)
        course.generated = _count(_header(response, "x-generated-tokens"))
        if course.status != HTTPStatus.OK:
            raise RequestError(kind_of_status(course.status), _refusal(response))
        if request.is_streamed:
            self._read_stream(request, response, course)
        else:
            self._read_whole(request, response, course)

    def _read_whole(self, request: PlannedRequest, response: HTTPSocketPoolResponse, course: Course) -> None:
        body = response.read()
        try:
            check_texts(body.decode(), request.sequences)
        except ValueError as exc:
            raise RequestError(ErrorKind.MALFORMED, str(exc)) from None
        course.ended_s = self._clock()

    def _read_stream(self, request: PlannedRequest, response: HTTPSocketPoolResponse, course: Course) -> None:
        if not (content_type := _header(response, "content-type") or "no type").startswith(_EVENT_STREAM):
            raise RequestError(ErrorKind.MALFORMED, f"a stream was asked for, {content_type} came")
        reader = EventReader()
        while line := response.readline(b"\n"):
            at_s = self._clock()
            try:
                event = reader.take(line)
                if event is not None and course.ended_s is None:
                    _take(event, request, course, at_s)
            except ValueError as exc:
                raise RequestError(ErrorKind.MALFORMED, str(exc)) from None
        if course.ended_s is None:
            raise RequestError(ErrorKind.CUT_OFF, "the stream ended without its end")


def _trusting_like_this_machine(**_: object) -> SSLContext:
    """Trust the authorities of this machine, one of its own company among them, and not a list that was shipped."""
    return create_default_context()


def _take(event: Event, request: PlannedRequest, course: Course, at_s: float) -> None:
    said = read_chat_event(event) if request.is_chat else read_generate_event(event, request.sequences)
    if isinstance(said, Pieces):
        for sequence in said.sequences:
            course.tokens.note(sequence, at_s)
    elif isinstance(said, Usage):
        course.usage = said
    elif isinstance(said, Failed):
        raise RequestError(ErrorKind.ERROR_EVENT, said.message)
    elif isinstance(said, End):
        course.ended_s = at_s


def _record(
    request: PlannedRequest,
    course: Course,
    *,
    due_s: float,
    sent_s: float,
    ended_s: float,
    error: tuple[ErrorKind, str] | None,
    is_warm_up: bool,
) -> Record:
    kind, text = error or (None, None)
    output_tokens, counted_by = _output_tokens(request, course)
    return Record(
        index=request.index,
        kind=request.kind,
        due_s=due_s,
        sent_s=sent_s,
        first_token_s=course.tokens.first_s,
        last_token_s=course.tokens.last_s,
        ended_s=ended_s,
        status=course.status,
        error=kind,
        error_text=text,
        input_tokens=course.usage.input_tokens if course.usage else None,
        output_tokens=output_tokens,
        tokens_counted_by=counted_by,
        sequences=request.sequences,
        gaps_ms=tuple(round(gap, _MS_OF_TWO_DIGITS) for gap in course.tokens.gaps_ms),
        cache=course.cache,
        queued_ms=course.queued_ms,
        is_warm_up=is_warm_up,
    )


def _output_tokens(request: PlannedRequest, course: Course) -> tuple[int | None, TokenSource | None]:
    if course.usage is not None:
        return course.usage.output_tokens, TokenSource.SERVER
    if not request.is_streamed and course.status == HTTPStatus.OK and course.generated is not None:
        return course.generated, TokenSource.SERVER
    # A stored text comes in one piece, and so may what another request has generated until now.
    if request.is_streamed and course.status == HTTPStatus.OK and (course.cache is None or course.cache in _GENERATED):
        return course.tokens.pieces, TokenSource.EVENTS
    return None, None


def _refusal(response: HTTPSocketPoolResponse) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
        return f"redirected to {_header(response, 'location') or 'nowhere'}, which is not followed"
    return message_of(response.read().decode(errors="replace"))


def _header(response: HTTPSocketPoolResponse, name: str) -> str | None:
    value = response.get(name)
    return value[0] if isinstance(value, list) else value


def _queued_ms(response: HTTPSocketPoolResponse) -> float | None:
    for metric in (_header(response, "server-timing") or "").split(","):
        name, _, parameters = metric.strip().partition(";")
        if name == "queue" and parameters.startswith("dur="):
            return _number(parameters.removeprefix("dur=").partition(";")[0])
    return _number(_header(response, "x-queue-time"))


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _path_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise InputError(f"{url!r} is no address of an API", "give one such as http://127.0.0.1:2025")
    return parts.path.rstrip("/")
