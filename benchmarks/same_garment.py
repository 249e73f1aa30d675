"""The same garment in another picture: is it found among all originals?

Each garment of a DeepFashion2 split is cut out by its true mask, re-lit, warped, placed on
another background and partly covered, then sought among all unchanged garments with equal
weights. With loose masks: at the resolution of a mask head. With `--model`: with the masks that a
trained detector finds, beside the true masks of the same garments.

    python benchmarks/same_garment.py --df2 FOLDER [--model FOLDER]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from garment_pictures import Cut, loosen, photograph, read_cuts
from numpy.typing import NDArray

from clothret.detection import Detector, load_detector
from clothret.features import Failure, Features, describe_batch
from clothret.imaging.masks import rle_decode
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


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Queries (picture, mask) sought among originals; `own[i]` is query i's row there."""

    name: str
    queries: list[tuple[NDArray, NDArray]]
    originals: list[tuple[NDArray, NDArray]]
    own: NDArray[np.int64]


def predicted(
    detector: Detector, pairs: list[tuple[NDArray, NDArray]], least: float = 0.5
) -> list[NDArray[np.bool_] | None]:
    """For each true mask the detected one that overlaps it most, none below IoU `least`."""
    masks: list[NDArray[np.bool_] | None] = []
    for image, mask in pairs:
        found = detector.detect([image])[0]
        shapes = [rle_decode(rle, found.size) for rle in found.rles]
        overlaps = [(mask & shape).sum() / max((mask | shape).sum(), 1) for shape in shapes]
        best = int(np.argmax(overlaps)) if overlaps else -1
        masks.append(shapes[best] if overlaps and overlaps[best] >= least else None)
    return masks


def predicted_trials(
    detector: Detector,
    queries: list[tuple[NDArray, NDArray]],
    originals: list[tuple[NDArray, NDArray]],
) -> list[Trial]:
    """True against predicted masks, for the garments that the detector finds in both pictures."""
    asked, stored = (predicted(detector, pairs) for pairs in (queries, originals))
    both = [a is not None and b is not None for a, b in zip(asked, stored)]
    rows = np.flatnonzero(both)
    print(
        f"found with IoU at least 0.5: {sum(m is not None for m in stored)} of {len(stored)} "
        f"originals, {sum(m is not None for m in asked)} queries, {len(rows)} garments in both\n"
    )
    true = [queries[i] for i in rows]
    guess = [(queries[i][0], asked[i]) for i in rows]
    gallery = [
        (image, mask if found is None else found)
        for (image, mask), found in zip(originals, stored, strict=True)
    ]
    return [
        Trial("found ones, true masks", true, originals, rows),
        Trial("found ones, originals predicted", true, gallery, rows),
        Trial("found ones, both predicted", guess, gallery, rows),
    ]


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
    parser.add_argument("--model", type=Path, help="trained model, for predicted masks")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a detection")
    parser.add_argument("--quick", action="store_true", help="60 queries")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(4)
    cuts = read_cuts(arguments.df2, arguments.split, pictures=True, least=2500)
    count = 60 if arguments.quick else len(cuts)
    queries = [replace(cut, rng) for cut in cuts[:count]]
    originals = [(cut.image, cut.mask) for cut in cuts]
    loose = [(image, loosen(mask)) for image, mask in queries]
    rows = np.arange(count)
    trials = [Trial("true", queries, originals, rows), Trial("loose", loose, originals, rows)]
    if arguments.model:
        detector = load_detector(arguments.model, score_threshold=arguments.score)
        trials += predicted_trials(detector, queries, originals)
    print("| masks | garments | weights | top-1 | top-10 |\n|---|---|---|---|---|")
    for trial in trials:
        print("\n".join(rows_of(trial)), flush=True)


def rows_of(trial: Trial) -> list[str]:
    """Markdown rows: how often the garment itself comes first, or among ten, by weights."""
    asked, stored = described(trial.queries), described(trial.originals)
    cosines = [stacked(asked, c) @ stacked(stored, c).T for c in CRITERIA]
    weights = {"equal": (1, 1, 1)} | {
        f"{c} alone": tuple(int(c == other) for other in CRITERIA) for c in CRITERIA
    }
    rows = []
    for label, weight in weights.items():
        score = sum(w * cosine for w, cosine in zip(weight, cosines, strict=True))
        rank = (score > score[np.arange(len(asked)), trial.own][:, None]).sum(axis=1)
        cells = f"{np.mean(rank < 1):.3f} | {np.mean(rank < 10):.3f}"
        rows.append(f"| {trial.name} | {len(asked)} of {len(stored)} | {label} | {cells} |")
    return rows


if __name__ == "__main__":
    main()
