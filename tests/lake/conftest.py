"""An S3 server in this process, and both kinds of storage."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from clothret.lake.storage import Storage, open_storage


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Endpoint of a moto S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3_url(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """A prefix of its own in the bucket `lake`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "cache"))
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="lake")
    s3.close()
    return f"s3://lake/{tmp_path.name}"


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Both kinds of storage, empty."""
    if request.param == "folder":
        return open_storage(tmp_path / "lake")
    return open_storage(request.getfixturevalue("s3_url"))
