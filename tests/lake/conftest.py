"""Both kinds of storage."""

from pathlib import Path

import pytest

from clothret.lake.storage import Storage, open_storage


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Both kinds of storage, empty."""
    if request.param == "folder":
        return open_storage(tmp_path / "lake")
    return open_storage(request.getfixturevalue("s3_url"))
