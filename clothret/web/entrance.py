"""The outermost layer: one pass over every request for checks, headers, metrics and the log."""

import logging
import secrets
import time
from collections.abc import Mapping

from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clothret.settings import WebSettings
from clothret.web import gate
from clothret.web.errors import ApiError, error_body
from clothret.web.metrics import Metrics
from clothret.web.pool import ClientGoneError

access = logging.getLogger("clothret.web.access")

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

CLIENT_GONE = 499


class Entrance:
    """Pure ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, web: WebSettings, metrics: Metrics) -> None:
        self._app = app
        self._web = web
        self._metrics = metrics
        self._rate = gate.RateLimit.of(web)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, count and log one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope, send)
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            await self._admit(scope, receive, visit)
        except ClientGoneError:
            visit.status = CLIENT_GONE
            await Response(status_code=CLIENT_GONE)(scope, receive, visit.send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self._record(visit)

    async def _admit(self, scope: Scope, receive: Receive, visit: "Visit") -> None:
        headers = Headers(scope=scope)
        limit = gate.body_limit(headers, self._web)
        body = gate.LimitedBody(receive, limit, self._web.body_seconds)
        try:
            if self._in_flight > 2 * self._web.queue:
                raise ApiError(429, "busy", "too many requests are under way", {"Retry-After": "1"})
            gate.check_host(headers.get("host"), self._web)
            if self._rate is not None:
                self._rate.check((scope.get("client") or ("unknown",))[0])
            gate.check_token(headers, scope["path"], self._web)
            gate.check_length(headers, limit)
        except ApiError as refusal:
            answer = JSONResponse(
                error_body(refusal.code, refusal.detail), refusal.status_code, refusal.headers
            )
            if "expect" not in headers and refusal.status_code == 413:
                await body.drain()
            await answer(scope, receive, visit.send)
            return
        await self._app(scope, body, visit.send)

    def _record(self, visit: "Visit") -> None:
        seconds = time.perf_counter() - visit.started
        route = getattr(visit.scope.get("route"), "path", "unmatched")
        self._metrics.answered(visit.scope["method"], route, visit.status, seconds)
        access.info(
            "request",
            extra={
                "fields": {
                    "id": visit.id,
                    "client": (visit.scope.get("client") or ("unknown",))[0],
                    "method": visit.scope["method"][:16],
                    "path": visit.scope["path"][:200],
                    "route": route,
                    "status": visit.status,
                    "bytes": visit.bytes,
                    "ms": round(1000 * seconds, 1),
                }
            },
        )


class Visit:
    """One request: adds our headers to its answer and remembers how it ended."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.id = secrets.token_hex(8)
        self.status = 500
        self.bytes = 0
        self.started = time.perf_counter()
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass `message` on, with the security headers on a response's start."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Request-ID"] = self.id
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)
