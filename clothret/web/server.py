"""`clothret serve`: uvicorn around the application, with deadlines, JSON logs and a calm stop."""

import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from clothret.settings import Settings
from clothret.web.app import create_app
from clothret.web.gate import is_loopback

log = logging.getLogger(__name__)


def serve(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way then have `stop_seconds` to finish.

    Args:
        settings: `host` and `port` go before those of its web section.

    Raises:
        SettingsError, StorageError: the lake cannot be opened.
        SystemExit: the address cannot be listened on.
    """
    given = {"host": host, "port": port}
    web = settings.web.model_copy(update={k: v for k, v in given.items() if v is not None})
    settings = settings.model_copy(update={"web": web})
    log_as_json()
    if not is_loopback(web.host) and web.token is None:
        log.warning("listening on %s without a token: set CLOTHRET_WEB__TOKEN", web.host)
    config = uvicorn.Config(
        create_app(settings),
        host=web.host,
        port=web.port,
        http=protocol(web.header_seconds),
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # any client could claim another's address
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=web.stop_seconds,
        h11_max_incomplete_event_size=32 * 1024,
    )
    # uvicorn raises the signal again once it has stopped: that stop is not a failure.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    uvicorn.Server(config).run()


def protocol(header_seconds: float) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1, closing connections whose request headers dawdle."""

    class Deadline(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._header_timer = self.loop.call_later(header_seconds, self._check_headers)

        def connection_lost(self, exc: Exception | None) -> None:
            self._header_timer.cancel()
            super().connection_lost(exc)

        def _check_headers(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Deadline


def log_as_json(stream: Any = None) -> None:
    """Log one JSON object a line on standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(min(root.level or logging.INFO, logging.INFO))
    library = logging.getLogger("clothret")
    library.handlers, library.propagate = [], True  # the command line had given it its own
    library.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {…}}` joins it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line break."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
