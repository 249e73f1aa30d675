"""Downloads against a real server: resumed, repeated on I/O, never on a refusal."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from clothret.data import download as downloads
from clothret.data.download import download, http_remote
from clothret.data.ingest import ingest
from clothret.errors import DatasetError, StorageError
from clothret.lake.storage import open_storage


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `faults` are taken one by one: a status to answer, or bytes to break at."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[tuple[str, int]] = []
        self.requests: list[tuple[str, str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        span = self.headers.get("Range")
        self.server.requests.append((self.command, self.path, span))
        kind, value = self.server.faults.pop(0) if self.server.faults and body else ("", 0)
        if kind == "status":
            self.send_error(value)
            return
        data = self.server.files.get(self.path.lstrip("/"))
        if data is None:
            self.send_error(404)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        tag = f'"{hash(data)}"'
        if self.headers.get("If-Range", tag) != tag:
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", tag)
        self.end_headers()
        if body:
            self.wfile.write(data[start : start + value if kind == "break" else None])
            if kind == "break":
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "FIRST_PAUSE", 0.001)
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server: Server, target) -> bytes:
    remote = http_remote(f"{server.url}/a.zip")
    assert remote is not None
    download(remote, target)
    return target.read_bytes()


def test_broken_connections_are_resumed(server, tmp_path):
    server.files["a.zip"] = bytes(range(256)) * 40
    server.faults = [("break", 1000), ("status", 503), ("break", 2000)]
    assert fetch(server, tmp_path / "a.zip") == server.files["a.zip"]
    spans = [span for method, _, span in server.requests if method == "GET"]
    assert spans == [None, "bytes=1000-", "bytes=1000-", "bytes=3000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_later_run_continues_an_earlier_one(server, tmp_path):
    server.files["a.zip"] = b"0123456789"
    server.faults = [("break", 4)] + [("status", 500)] * (downloads.TRIES - 1)
    with pytest.raises(StorageError, match="failed 6 times"):
        fetch(server, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    assert fetch(server, tmp_path / "a.zip") == b"0123456789"
    assert server.requests[-1] == ("GET", "/a.zip", "bytes=4-")


def test_another_file_meanwhile_is_fetched_from_the_start(server, tmp_path):
    server.files["a.zip"] = b"0123456789"
    server.faults = [("break", 4)] + [("status", 500)] * (downloads.TRIES - 1)
    with pytest.raises(StorageError):
        fetch(server, tmp_path / "a.zip")
    server.files["a.zip"] = b"abcdefghij"
    assert fetch(server, tmp_path / "a.zip") == b"abcdefghij"


def test_a_refusal_is_not_repeated(server, tmp_path):
    server.files["a.zip"] = b"0123456789"
    server.faults = [("status", 403)]
    with pytest.raises(DatasetError, match="the server answers 403"):
        fetch(server, tmp_path / "a.zip")
    assert [method for method, _, _ in server.requests] == ["HEAD", "GET"]


def test_a_missing_file_is_none(server):
    assert http_remote(f"{server.url}/none.zip") is None


def test_a_server_that_is_not_there(server):
    server.server_close()
    with pytest.raises(StorageError, match="failed 6 times"):
        http_remote(f"{server.url}/a.zip")


def test_ingest_from_a_web_server(server, tmp_path, make_source, zips):
    source = make_source()
    for path in source.iterdir():
        server.files[f"df2/{path.name}"] = path.read_bytes()
    lake = open_storage(tmp_path / "lake")
    server.faults = [("break", 700)]
    work = tmp_path / "work"
    first = ingest(f"{server.url}/df2/", lake, password=zips.PASSWORD, workdir=work)
    assert first.to_dict()["splits"]["train"] == {"images": 4, "garments": 3, "rejected": 0}
    local = ingest(str(source), lake, password=zips.PASSWORD, workdir=work)
    assert (local.version, local.cached) == (first.version, True)
    server.requests.clear()
    again = ingest(f"{server.url}/df2", lake, password=zips.PASSWORD, workdir=work)
    assert again.cached
    assert {method for method, _, _ in server.requests} == {"HEAD"}
    assert not list(work.rglob("*.zip"))


def test_missing_zip_on_a_web_server(server, tmp_path):
    server.files["train.zip"] = b"x"
    with pytest.raises(DatasetError, match=r"validation\.zip missing; found train\.zip"):
        ingest(server.url, open_storage(tmp_path / "lake"))
