"""A proxy in front of an S3 server that misbehaves on purpose."""

import http.client
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("500", "503", "slow", "truncated", "reset", "lost")
"""What may happen to a request; "lost": it is done, and the answer never comes."""

_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
_EXPIRED = ("400", "ExpiredToken")


class FaultProxy:
    """Forwards to `upstream`; a share of the requests meets one of `FAULTS`.

    Attributes:
        rate: share of faulty requests, 0 to 1. expired: refuse everything as expired credentials.
        injected: how often each fault happened.
    """

    def __init__(self, upstream: str, *, rate: float = 0.0, seed: int = 0) -> None:
        self.upstream, self.rate, self.expired = urlsplit(upstream).netloc, rate, False
        self.injected = dict.fromkeys(FAULTS, 0)
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def choose(self) -> str | None:
        """The fault of the next request."""
        with self._lock:
            if self._random.random() >= self.rate:
                return None
            fault = self._random.choice(FAULTS)
            self.injected[fault] += 1
            return fault

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.expired:
                self._answer(400, _ERROR.format(code=_EXPIRED[1]).encode())
                return
            fault = proxy.choose()
            if fault in ("500", "503"):
                code = "InternalError" if fault == "500" else "SlowDown"
                self._answer(int(fault), _ERROR.format(code=code).encode())
            elif fault == "reset":
                self.close_connection = True
            else:
                status, headers, data = self._forward(body)
                if fault == "lost":
                    self.close_connection = True
                    return
                if fault == "slow":
                    time.sleep(0.5)
                self._answer(status, data, headers, truncate=fault == "truncated")

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection(proxy.upstream, timeout=60)
            skipped = {"connection", "content-length", "expect"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
            return answer.status, answer.getheaders(), data

        def _answer(
            self,
            status: int,
            data: bytes,
            headers: list[tuple[str, str]] | None = None,
            *,
            truncate: bool = False,
        ) -> None:
            self.send_response(status)
            length = str(len(data))
            for name, value in headers or []:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if truncate else data)
            if truncate:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    return Handler
