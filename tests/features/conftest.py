"""Small garments painted by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]

GRAY = (128, 128, 128)


@pytest.fixture
def shirt_mask() -> NDArray[np.bool_]:
    """(160, 160): a torso with two short sleeves."""
    mask = np.zeros((160, 160), bool)
    mask[30:140, 50:110] = True
    mask[30:60, 25:135] = True
    return mask


@pytest.fixture
def trousers_mask() -> NDArray[np.bool_]:
    """(160, 160): two legs below a waist."""
    mask = np.zeros((160, 160), bool)
    mask[15:50, 55:105] = True
    mask[50:150, 55:77] = True
    mask[50:150, 83:105] = True
    return mask


@pytest.fixture
def paint(shirt_mask: NDArray[np.bool_]) -> Callable[..., Pair]:
    """`paint(field, first, second, mask=shirt)`: `field` (H, W) in [0, 1] mixes two colors."""

    def painted(
        field: NDArray, first: tuple, second: tuple = (0, 0, 0), mask: NDArray | None = None
    ) -> Pair:
        where = shirt_mask if mask is None else mask
        cloth = np.array(first) + field[..., None] * (np.array(second) - np.array(first))
        image = np.where(where[..., None], cloth, np.array(GRAY))
        return image.round().astype(np.uint8), where

    return painted


def rows_and_columns(size: int = 160) -> tuple[NDArray, NDArray]:
    rows, columns = np.mgrid[:size, :size]
    return rows, columns


@pytest.fixture
def fields() -> dict[str, NDArray[np.float64]]:
    """Patterns (160, 160) in [0, 1] drawn apart from the family the network learned from."""
    rows, columns = rows_and_columns()
    across, down = (columns // 8) % 2, (rows // 8) % 2
    dots = np.hypot(columns % 20 - 10, rows % 20 - 10) < 5
    return {
        "plain": np.zeros((160, 160)),
        "horizontal stripes": down * 1.0,
        "vertical stripes": across * 1.0,
        "checks": (across + down) / 2,
        "dots": dots * 1.0,
    }


@pytest.fixture
def gray_square() -> Callable[..., Pair]:
    """`gray_square(field)`: `field` (H, W) in [0, 1] mixes two grays; 20 px of ground around."""

    def painted(field: NDArray, low: float = 90.0, high: float = 150.0) -> Pair:
        image = np.full((*field.shape, 3), 30.0)
        mask = np.zeros(field.shape, bool)
        mask[20:-20, 20:-20] = True
        image[mask] = (low + field * (high - low))[mask][:, None]
        return image.round().astype(np.uint8), mask

    return painted
