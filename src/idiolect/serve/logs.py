"""Logs as JSON, one object a line: what was asked for, by which key, how it ended; no key, no text, no user.

Bodies are logged only where the configuration switches that on.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, TextIO

import msgspec

from idiolect.serve.errors import as_http_error, is_expected
from idiolect.serve.exchange import Exchange
from idiolect.store.faults import reason_behind

LOGGER = logging.getLogger("idiolect.serve")
_FIELDS = "fields"  # attribute of a log record


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. Of an exception, the class and the places in the code are written.

    Of one that the store's database caused, its reason as well, such as a full disk.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the exception's message is left out, because it may quote people's texts."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error, places = record.exc_info[1], []
            trace = error.__traceback__
            while trace is not None:
                places.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
                trace = trace.tb_next
            line |= {"error": type(error).__name__, "places": places}
            if reason := reason_behind(error):
                line["reason"] = reason
        return msgspec.json.encode(line).decode()


def open_logs(level: str, stream: TextIO | None = None) -> None:
    """Write the gateway's logs as JSON lines.

    Args:
        level: least level that is written, such as "info".
        stream: where to; None: stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write one event with its fields."""
    if LOGGER.isEnabledFor(level):
        about = None if error is None else (type(error), error, error.__traceback__)
        record = logging.LogRecord(LOGGER.name, level, "", 0, event, None, about)
        setattr(record, _FIELDS, fields)
        LOGGER.handle(record)  # not `log`, which looks for its caller's line in the stack


def log_failure(error: BaseException, exchange: Exchange) -> None:
    """Write that a request failed, and where, unless the error is an expected answer to the client."""
    if not is_expected(error):
        level = logging.ERROR if as_http_error(error).status == 500 else logging.WARNING
        log("failure", level=level, error=error, request_id=exchange.id, route=exchange.route)


def log_request(exchange: Exchange, method: str, status: int, seconds: float) -> None:
    """Write that a request has ended, after so many seconds."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "request_id": exchange.id,
        "method": method,
        "route": exchange.route,
        "status": status,
        "ms": round(seconds * 1000, 2),
    }
    if exchange.key:
        fields["key"] = exchange.key
    if exchange.personalization:
        fields["personalization"] = exchange.personalization
    if exchange.added is not None:
        fields["added_ms"] = round(exchange.added * 1000, 2)
    if exchange.broken:
        fields["broken_by"] = exchange.broken
    log("request", **fields)
