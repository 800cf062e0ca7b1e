"""What a service writes: JSON lines on standard error, one access line a request.

``configure_logging`` is called once by the process that runs a service, never by a factory; :class:`AccessLog` belongs
to the stack (``services.assemble``). Neither ever writes a query string, a body or a header: secrets travel there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

import structlog

_FLUSH_AFTER: Final = 0.1
_FLUSH_SIZE: Final = 64  # lines; more would push the rest of a busy process out of the cache


def configure_logging(service: str, level: str) -> None:
    """Make structlog and the standard library's loggers write JSON lines to standard error.

    Args:
        service: stands in every line.
        level: least severe level written, as ``settings.log_level``.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: list[structlog.typing.Processor] = [
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_service_name(service), structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.INFO), force=True)
    logging.getLogger("uvicorn.access").disabled = True  # the stack writes a better one
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _service_name(service: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add


class AccessLog:
    """One JSON line a request, collected and written together so that logging does not dominate a quick request.

    Lines are written at most a tenth of a second late; a process that is killed loses those.
    """

    def __init__(self, service: str) -> None:
        self._head = f'{{"service":{json.dumps(service)},"message":"request","method":"'
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""

    def write(self, method: str, path: str, route: str, status: int, seconds: float, trace_id: str) -> None:
        """Add a line. Must be called in a running event loop."""
        now = time.time()
        if now >= self._second + 1 or now < self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        lines = self._lines
        lines.append(
            f'{self._head}{method}","path":{quoted(path)},"route":"{route}","status":{status},'
            f'"ms":{seconds * 1e3:.2f},"trace_id":"{trace_id}",'
            f'"timestamp":"{self._stamp}.{int(now % 1 * 1000):03d}Z"}}\n'
        )
        if len(lines) == 1:
            asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)
        elif len(lines) >= _FLUSH_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        if self._lines:
            sys.stderr.write("".join(self._lines))
            sys.stderr.flush()
            self._lines.clear()
