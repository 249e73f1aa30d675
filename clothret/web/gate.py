"""Who may come in: host names, tokens, rates and sizes, before any route sees a request."""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.types import Message, Receive

from clothret.settings import WebSettings
from clothret.web.errors import ApiError

COOKIE = "clothret_key"
OPEN_PATHS = frozenset({"/", "/healthz", "/docs", "/favicon.ico", "/api/v1/login"})
"""Paths that carry no data of a catalog and need no token."""

JSON_BYTES = 64 * 1024
DRAINED_BYTES = 4 * 2**20
MAX_CLIENTS = 10_000


def is_loopback(host: str) -> bool:
    """Whether an address or name means this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(header: str | None, web: WebSettings) -> None:
    """Refuse foreign names on a loopback server: a web page elsewhere may resolve its own name
    to 127.0.0.1 and read through the visitor's browser (DNS rebinding). Such a name has a dot.

    Raises:
        ApiError: 421.
    """
    if not is_loopback(web.host):
        return
    name = _without_port(header or "").lower().rstrip(".")
    plain = "." not in name or is_loopback(name) or _is_address(name)
    if not plain and name not in {host.lower() for host in web.hosts}:
        raise ApiError(
            421, "host", f"host {name[:100]!r} is not served; name it in the setting web.hosts"
        )


def cookie_value(token: str) -> str:
    """What the page's cookie holds instead of the token itself."""
    return hmac.new(token.encode(), b"clothret page", hashlib.sha256).hexdigest()


def check_token(headers: Mapping[str, str], path: str, web: WebSettings) -> None:
    """Ask for the token, as a bearer or in the page's cookie, where one is set.

    Raises:
        ApiError: 401.
    """
    if web.token is None or path in OPEN_PATHS or path.startswith("/static/"):
        return
    token = web.token.get_secret_value()
    scheme, _, given = headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and same(given.strip(), token)
    if not bearer and not same(_cookie(headers.get("cookie", "")), cookie_value(token)):
        raise ApiError(
            401, "unauthorized", "a bearer token is needed", {"WWW-Authenticate": "Bearer"}
        )


class RateLimit:
    """A token bucket per client address: `per_minute` on average, a fifth of that at once."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._burst = max(1.0, per_minute / 5)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @classmethod
    def of(cls, web: WebSettings) -> "RateLimit | None":
        """As the settings say: by default off on loopback, 600 a minute elsewhere."""
        per_minute = web.rate_per_minute
        if per_minute is None:
            per_minute = 0 if is_loopback(web.host) else 600
        return cls(per_minute) if per_minute else None

    def check(self, client: str) -> None:
        """Take one token of `client`.

        Raises:
            ApiError: 429 with `Retry-After`.
        """
        now = time.monotonic()
        level, last = self._buckets.pop(client, (self._burst, now))
        level = min(self._burst, level + (now - last) * self._rate)
        allowed = level >= 1
        self._buckets[client] = (level - 1 if allowed else level, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = str(int((1 - level) / self._rate) + 1)
            raise ApiError(
                429, "rate", f"too many requests; again in {wait} s", {"Retry-After": wait}
            )


class LimitedBody:
    """A request's body, at most `limit` bytes within `seconds`."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._deadline = time.monotonic() + seconds
        self._bytes = 0
        self._complete = False

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            ApiError: 413 past the limit, 408 past the deadline.
        """
        if self._complete:
            return await self._receive()  # waits for the client to leave: no deadline on that
        left = self._deadline - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.01))
        except TimeoutError:
            raise ApiError(408, "timeout", "the body did not arrive in time", CLOSE) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        if self._bytes > self._limit:
            raise too_large(self._limit)
        return message

    async def drain(self) -> None:
        """Read on a little, so that a client that is still sending gets to read its answer."""
        self._limit += DRAINED_BYTES
        try:
            while not self._complete:
                if (await self())["type"] == "http.disconnect":
                    return
        except ApiError:
            return


CLOSE = {"Connection": "close"}


def too_large(limit: int) -> ApiError:
    """The refusal of a body past `limit` bytes."""
    return ApiError(413, "too_large", f"at most {limit:,} bytes are allowed", CLOSE)


def body_limit(headers: Mapping[str, str], web: WebSettings) -> int:
    """Bytes a request may carry: pictures come as multipart, everything else is small."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return web.max_upload_bytes if kind == "multipart/form-data" else JSON_BYTES


def check_length(headers: Mapping[str, str], limit: int) -> None:
    """Refuse by the `Content-Length` header, before a byte is read.

    Raises:
        ApiError: 413, or 400 for no number.
    """
    declared = headers.get("content-length")
    if declared is None:
        return
    if not (declared.isascii() and declared.isdigit()):
        raise ApiError(400, "input", "Content-Length must be a number", CLOSE)
    if int(declared[:20]) > limit:
        raise too_large(limit)


def same(given: str, expected: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _without_port(header: str) -> str:
    name, colon, port = header.rpartition(":")
    return name if colon and port.isdigit() else header


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
