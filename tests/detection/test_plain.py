"""Products on plain grounds."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from clothret.detection.plain import PlainDetector
from clothret.imaging.decode import read_image
from clothret.imaging.masks import rle_decode


def shirt(ground: np.ndarray, color: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """`ground` with a drawn shirt of `color` on it, and the shirt's mask."""
    outline = np.array(
        [[90, 60], [130, 75], [170, 60], [230, 110], [200, 140], [185, 125], [185, 250],
         [75, 250], [75, 125], [60, 140], [30, 110]]
    )  # fmt: skip
    mask = cv2.fillPoly(np.zeros(ground.shape[:2], np.uint8), [outline], 1).astype(bool)
    image = ground.copy()
    image[mask] = color
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8), mask


def falling_light(height: int = 300, width: int = 260) -> np.ndarray:
    """A pale wall, lit from the upper left."""
    y, x = np.mgrid[:height, :width]
    level = 235 - 45 * (y / height) - 25 * (x / width)
    return np.stack([level, level * 0.98, level * 0.94], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("color", [(200, 30, 60), (30, 60, 160), (40, 40, 40), (250, 230, 60)])
def test_a_shirt_on_an_unevenly_lit_wall_is_outlined(color: tuple[int, int, int]) -> None:
    image, mask = shirt(falling_light(), color)
    found = PlainDetector().detect([image])[0]
    assert len(found) == 1
    outlined = rle_decode(found.rles[0], found.size)
    assert (outlined & mask).sum() / (outlined | mask).sum() > 0.95
    assert np.abs(found.boxes[0] - [30, 60, 231, 251]).max() <= 4
    assert found.scores[0] > 0.8


def test_a_soft_shadow_is_not_part_of_the_shirt() -> None:
    wall = falling_light()
    shadow = np.zeros(wall.shape[:2], np.float32)
    shadow[120:275, 85:200] = 1
    shadow = cv2.GaussianBlur(shadow, (0, 0), 6)[..., None]
    image, mask = shirt((wall * (1 - 0.12 * shadow)).astype(np.uint8), (200, 30, 60))
    found = PlainDetector().detect([image])[0]
    outlined = rle_decode(found.rles[0], found.size)
    assert (outlined & mask).sum() / (outlined | mask).sum() > 0.93


def test_nothing_is_found_without_a_plain_ground_or_a_product() -> None:
    busy = np.random.default_rng(1).integers(0, 255, (30, 26, 3)).astype(np.uint8)
    busy = cv2.resize(busy, (260, 300), interpolation=cv2.INTER_NEAREST)
    camouflaged, _ = shirt(falling_light(), (200, 196, 188))
    pictures = [busy, falling_light(), np.zeros((1, 1, 3), np.uint8)]
    assert [len(found) for found in PlainDetector().detect(pictures)] == [0, 0, 0]
    assert all(score < 0.8 for score in PlainDetector().detect([camouflaged])[0].scores)


def test_the_same_picture_gives_the_same_bytes() -> None:
    image, _ = shirt(falling_light(), (30, 60, 160))
    first, second = (PlainDetector().detect([image])[0] for _ in range(2))
    assert first.rles == second.rles


def test_most_photographs_of_a_real_catalog_yield_a_product(sample_data: Path) -> None:
    paths = sorted((sample_data / "catalog" / "image").glob("*.jpg"))[:30]
    found = PlainDetector().detect([read_image(path) for path in paths])
    assert sum(len(one) > 0 for one in found) >= 18
    for one in found:
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
