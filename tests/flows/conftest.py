"""One Prefect server and one generated lake for every flow test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from clothret.synth import PASSWORD, generate

PASSWORD_ENV = "TEST_DF2_PASSWORD"


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A real server within this process, for the whole session."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated archives and a catalog."""
    out = tmp_path_factory.mktemp("generated")
    generate(out, images=30, items=8, seed=5, size=192)
    return out


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the environment variable that opens the archives."""
    monkeypatch.setenv(PASSWORD_ENV, PASSWORD)
    return PASSWORD_ENV


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake that the tests of the chain share, each going on where the one before ended."""
    return str(tmp_path_factory.mktemp("lake"))
