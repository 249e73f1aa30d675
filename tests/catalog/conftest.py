"""Shops to be indexed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.shops import Shop, settings_for


@pytest.fixture
def make_shop(tmp_path: Path) -> Callable[..., Shop]:
    """A shop with pictures 0 to `count` - 1, its lake beside it."""

    def make(count: int, name: str = "one", lake: str | None = None, **sections: Any) -> Shop:
        folder = tmp_path / name
        folder.mkdir()
        shop = Shop(folder, settings_for(lake or folder / "lake", **sections))
        shop.add(*range(count))
        return shop

    return make
