"""One line for each event on stderr, as text or JSON. Prompts and secrets are never put into an event."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

# One encoder for all lines: json.dumps builds a new one for each call that has options.
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class LogFormat(StrEnum):
    """How a log line is written."""

    TEXT = "text"
    JSON = "json"


def configure_logs(form: LogFormat, level: str) -> None:
    """Send every logger of this process to stderr, uvicorn's from warnings upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(form))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


class EventFormatter(logging.Formatter):
    """Writes an event's message and its `extra` fields on one line, a traceback included."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._form is LogFormat.JSON:
            return _encode({**head, **fields})
        pairs = [f"{name}={_encode(value)}" for name, value in fields.items()]
        return " ".join([head["time"], head["level"].upper(), head["event"], *pairs])
