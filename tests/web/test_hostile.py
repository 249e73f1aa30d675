"""Hostile requests get 4xx, and the service goes on."""

import contextlib
import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from clothret.settings import Settings

EXAMPLES = {GenerationMode.POSITIVE: 20, GenerationMode.NEGATIVE: 66}
"""Requests per operation: the wrong ones and those below make more than 500 hostile ones."""

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


# Hypothesis takes another thread's use of `random` (of a Prefect client of an earlier test, say)
# for the strategy's own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_generated_requests(service: Any, mode: GenerationMode) -> None:
    """Requests that fit the OpenAPI document, and ones that do not, for every operation."""
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    asked = refused = 0
    for operation in schema.get_all_operations():

        @settings(
            max_examples=EXAMPLES[mode],
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        @given(operation.ok().as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            nonlocal asked, refused
            asked += 1
            response = case.call()
            refused += 400 <= response.status_code < 500
            case.validate_response(response, checks=[not_a_server_error])
            if response.status_code >= 400 and case.method != "HEAD":
                assert set(json.loads(response.content)) == {"error"}

        if mode is GenerationMode.POSITIVE or takes_input(operation.ok()):
            ask()
    if mode is GenerationMode.NEGATIVE:
        # Parameters of unknown names are passed over: not every wrong request is refused.
        assert refused >= 400
    else:
        assert asked >= 100


def takes_input(operation: Any) -> bool:
    """Whether there is anything that could be wrong about a request."""
    return bool(operation.body or operation.query or operation.path_parameters)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims, and holds, very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(2**22), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, bytes]]:
    yield "bomb", bomb(50_000, 50_000)
    yield "bomb below the limit that ends early", bomb(7_900, 7_900)
    yield "zero", bomb(0, 0)
    yield "negative", bomb(2**31 - 1, 2**31 - 1)
    yield "empty", b""
    yield "cut", JPEG
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    yield "html", b"<!doctype html><script>alert(1)</script>"
    yield "zip", b"PK\x03\x04" + bytes(500)
    yield "nul", bytes(100_000)
    yield "gif without frames", b"GIF89a\xff\xff\xff\xff\x00\x00\x00;"
    yield (
        "tiff loop",
        b"II*\x00\x08\x00\x00\x00\x01\x00\x00\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00",
    )
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    yield "jpeg with a tail cut off", file.getvalue()[:-40]


@pytest.mark.parametrize(
    "data", [data for _, data in pictures()], ids=[name for name, _ in pictures()]
)
def test_pictures_that_are_none(service: Any, data: bytes) -> None:
    response = httpx.post(f"{service.url}/api/v1/detect", files={"image": data}, timeout=60)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["code"] in ("image", "mask", "validation")


HEADERS = [
    {"Host": "evil.example"},
    {"Content-Length": "-5"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "multipart/form-data; boundary="},
    {"Content-Type": "multipart/form-data; boundary=" + "x" * 5000},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Content-Type": "\x00"},
    {"Authorization": "Bearer " + "A" * 8000},
    {"Cookie": "clothret_key=" + "%00" * 500 + "; =;;; \\"},
    {"X-Forwarded-For": "1.2.3.4, " * 500},
    {"If-None-Match": '"' * 4000},
    {"Transfer-Encoding": "chunked, chunked"},
    {"Range": "bytes=0-18446744073709551615,-1"},
    {"Accept-Encoding": "gzip;q=1.0, *;q=0" * 100},
]


@pytest.mark.parametrize(
    "headers", HEADERS, ids=[next(iter(h)) + str(n) for n, h in enumerate(HEADERS)]
)
def test_header_tricks(service: Any, headers: dict[str, str]) -> None:
    lines = {"Host": f"127.0.0.1:{service.port}", "Content-Type": "application/json", **headers}
    lines.setdefault("Content-Length", "2")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer = raw(service.port, f"POST /api/v1/search HTTP/1.1\r\n{head}\r\n{{}}".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]


BODIES = [
    b"{", b"[" * 30_000, b"\xff\xfe", b'{"garment_id": 1e999}', b"null", b'"\\ud800"',
    b'{"k": 99999999999999999999999}', b'{"box": [NaN, 1, 2, 3]}', b'{"__proto__": {}}',
    b'{"garment_id": "0000000000000000-0\\u0000"}', b"{}" + b" " * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_json_tricks(service: Any, body: bytes) -> None:
    response = httpx.post(
        f"{service.url}/api/v1/search", content=body, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize(
    "line",
    [
        b"GET /image/shop/../../../../etc/passwd HTTP/1.1", b"GET //evil.example/ HTTP/1.1",
        b"GET /image/shop/%00 HTTP/1.1", b"GET /image/%ff%fe/%c0%ae HTTP/1.1",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1", b"GET http://evil.example/ HTTP/1.1",
        b"TRACE / HTTP/1.1", b"GET /image/shop/0?size=-1 HTTP/1.1", b"G\x00T / HTTP/1.1",
        b"GET /image/shop/0?size=99999999999 HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01",
        b"DELETE /api/v1/catalogs HTTP/1.1", b"GET /static/%2e%2e%2fapp.py HTTP/1.1",
    ],
)  # fmt: skip
def test_request_lines(service: Any, line: bytes) -> None:
    answer = raw(service.port, line + f"\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode())
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_an_upload_past_the_limit_is_cut_off(service: Any) -> None:
    """Chunked, so that no header says how much comes."""

    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        for _ in range(200):
            yield bytes(2**20)

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    with contextlib.suppress(httpx.TransportError):  # cut off before the answer could be read
        response = httpx.post(f"{service.url}/api/v1/detect", content=endless(), headers=kind)
        assert response.status_code == 413
    assert httpx.get(f"{service.url}/healthz").json()["status"] == "ok"


def test_slow_clients_are_let_go(shop: Settings, tmp_path: Path, start_service: Any) -> None:
    limits = {"CLOTHRET_WEB__HEADER_SECONDS": "0.5", "CLOTHRET_WEB__BODY_SECONDS": "0.5"}
    slow = start_service(shop.lake, tmp_path / "log", **limits)
    assert raw(slow.port, b"GET / HTTP/1.1\r\nHost: localh") == b""
    head = b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(slow.port, head + b'Content-Length: 50\r\n\r\n{"garment')
    assert b" 408 " in answer.split(b"\r\n", 1)[0]
    assert b'"code":"timeout"' in answer


def test_memory_stays_bounded_and_the_service_serves(service: Any) -> None:
    data = bomb(50_000, 50_000)
    before = resident(service.process.pid)
    for _ in range(40):
        httpx.post(f"{service.url}/api/v1/detect", files={"image": data}, timeout=60)
    assert resident(service.process.pid) < before + 200 * 2**20
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    assert "Traceback" not in service.log.read_text()


def test_a_stop_lets_requests_finish(
    shop: Settings, tmp_path: Path, start_service: Any, photo: bytes
) -> None:
    stopped = start_service(shop.lake, tmp_path / "log")
    answers: list[int] = []

    def ask() -> None:
        url = f"{stopped.url}/api/v1/search"
        answers.append(httpx.post(url, files={"image": photo}, timeout=60).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while "clothret_http_in_flight 2.0" not in httpx.get(f"{stopped.url}/metrics").text:
        assert asking.is_alive(), answers
        time.sleep(0.01)
    assert stopped.stop() == 0
    asking.join(20)
    assert answers == [200]
    text = stopped.log.read_text().splitlines()
    lines = [json.loads(line) for line in text if line.startswith("{")]
    assert {"id", "client", "route", "status", "ms"} <= set(
        next(line for line in lines if line.get("route") == "/api/v1/search")
    )


def raw(port: int, request: bytes) -> bytes:
    """What the service answers to these very bytes, until it closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(3)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
                if b"\r\n\r\n" in answer and b"connection: close" not in answer.lower():
                    return answer
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
