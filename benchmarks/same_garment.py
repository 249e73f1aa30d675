"""The same garment in another picture: is it found among all originals?

Each garment of a DeepFashion2 split is cut out by its true mask, re-lit, warped, placed on
another background and partly covered, then sought among all unchanged garments with equal
weights. `--loose` describes the queries with masks as a detector would predict them.

    python benchmarks/same_garment.py --df2 FOLDER
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from garment_pictures import Cut, photograph, read_cuts
from numpy.typing import NDArray

from clothret.features import Failure, Features, describe_batch
from clothret.types import CRITERIA

SIZE = 256


def replace(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """The garment turned, bent and mirrored on another ground, 5-15 % covered, re-lit."""
    x, y, width, height = cv2.boundingRect(cut.mask.view(np.uint8))
    crop = np.dstack((cut.image, cut.mask.view(np.uint8) * 255))[y : y + height, x : x + width]
    scale = 0.75 * SIZE / max(width, height) * rng.uniform(0.9, 1.1)
    angle = np.deg2rad(rng.uniform(-8, 8))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[scale, scale * rng.uniform(-0.06, 0.06)], [0, scale]])
    linear[:, 0] *= rng.uniform(0.93, 1.07)
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = SIZE / 2 + rng.uniform(-10, 10, 2) - linear @ (np.array((width, height)) / 2)
    placed = cv2.warpAffine(crop, np.column_stack((linear, shift)), (SIZE, SIZE))
    drift = rng.normal(0, 3, (2, 4, 4)).astype(np.float32)
    grid = np.stack(np.meshgrid(*(np.arange(SIZE, dtype=np.float32),) * 2))
    grid += np.stack([cv2.resize(d, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for d in drift])
    placed = cv2.remap(placed, grid[0], grid[1], cv2.INTER_LINEAR)
    mask = placed[..., 3] > 127
    covered = cover_part(mask, rng)
    return photograph(placed[..., :3].astype(np.float32), covered, rng)


def cover_part(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """`mask` with an ellipse of 5-15 % of its area taken out, as a bag or hair would."""
    rows, columns = np.nonzero(mask)
    place = int(rng.integers(len(rows)))
    axes = np.sqrt(len(rows) * rng.uniform(0.05, 0.15)) * np.array((0.8, 1.6))
    hole = np.zeros(mask.shape, np.uint8)
    box = ((float(columns[place]), float(rows[place])), tuple(axes.tolist()), rng.uniform(0, 180))
    cv2.ellipse(hole, box, 1, -1)
    return mask & (hole == 0)


def loosen(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What a Mask R-CNN head returns for a true mask: 28 × 28 over its box, thresholded."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = mask[y : y + height, x : x + width].astype(np.float32)
    small = cv2.resize(box, (28, 28), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.7)
    loose = np.zeros(mask.shape, bool)
    loose[y : y + height, x : x + width] = cv2.resize(small, (width, height)) > 0.5
    return loose


def described(pairs: list[tuple[NDArray, NDArray]]) -> list[Features]:
    found = describe_batch(pairs)
    bad = [f for f in found if isinstance(f, Failure)]
    if bad:
        raise SystemExit(f"{len(bad)} garments could not be described: {bad[0]}")
    return [f for f in found if isinstance(f, Features)]


def stacked(features: list[Features], criterion: str) -> NDArray[np.float32]:
    return np.stack([getattr(feature, criterion) for feature in features])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--df2", type=Path, required=True, help="unpacked DeepFashion2 folder")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--quick", action="store_true", help="60 queries")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(4)
    cuts = read_cuts(arguments.df2, arguments.split, pictures=True, least=2500)
    queries = np.arange(60 if arguments.quick else len(cuts))
    pictures = [replace(cuts[row], rng) for row in queries]
    originals = described([(cut.image, cut.mask) for cut in cuts])
    masks = {"true masks": pictures, "loose masks": [(i, loosen(m)) for i, m in pictures]}
    weights = {"equal weights": (1, 1, 1)} | {
        f"{c} alone": tuple(int(c == other) for other in CRITERIA) for c in CRITERIA
    }
    print(f"{len(queries)} queries, {len(cuts)} garments\n\n| masks | weights | top-1 | top-10 |")
    print("|---|---|---|---|")
    for name, pairs in masks.items():
        found = described(pairs)
        cosines = [
            np.stack([getattr(f, c) for f in found])
            @ np.stack([getattr(f, c) for f in originals]).T
            for c in CRITERIA
        ]
        for label, weight in weights.items():
            score = sum(w * cosine for w, cosine in zip(weight, cosines, strict=True))
            own = score[np.arange(len(queries)), queries]
            rank = (score > own[:, None]).sum(axis=1)
            print(f"| {name} | {label} | {np.mean(rank < 1):.3f} | {np.mean(rank < 10):.3f} |")


if __name__ == "__main__":
    main()
