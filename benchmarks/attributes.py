"""Precision and leakage of color, texture and shape where the three are drawn independently.

Silhouettes × twelve palettes × nine patterns under varied light, distance and camera; neighbors
cut from the same silhouette do not count. Beside clothret: an HSV histogram, local binary
patterns and Hu moments on the same images.

    python benchmarks/attributes.py --df2 FOLDER      true masks of FOLDER/validation
    python benchmarks/attributes.py                   outlines of generated garments
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from garment_pictures import (
    FIGURELESS,
    OUTLINES,
    PALETTES,
    PATTERNS,
    Cut,
    draw_cuts,
    dress,
    loosen,
    read_cuts,
)
from numpy.typing import NDArray

from clothret.features import Failure, describe_batch
from clothret.types import CRITERIA

NEIGHBORS = 10


def hsv_histogram(image: NDArray, mask: NDArray) -> NDArray[np.float32]:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist(
        [hsv], [0, 1, 2], mask.view(np.uint8), [12, 4, 4], [0, 180, 0, 256, 0, 256]
    )
    return np.sqrt(counts.ravel() / counts.sum())


def binary_patterns(image: NDArray, mask: NDArray) -> NDArray[np.float32]:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.int16)
    center = gray[1:-1, 1:-1]
    code = np.zeros(center.shape, np.int64)
    around = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    for bit, (row, column) in enumerate(around):
        neighbor = gray[row : row + center.shape[0], column : column + center.shape[1]]
        code |= (neighbor >= center).astype(np.int64) << bit
    counts = np.bincount(code[mask[1:-1, 1:-1]], minlength=256).astype(np.float32)
    return np.sqrt(counts / counts.sum())


def hu_moments(image: NDArray, mask: NDArray) -> NDArray[np.float32]:
    moments = cv2.HuMoments(cv2.moments(mask.view(np.uint8), binaryImage=True)).ravel()
    return (-np.sign(moments) * np.log10(np.abs(moments) + 1e-12)).astype(np.float32)


CLASSICS = {
    "HSV histogram": (hsv_histogram, "color"),
    "LBP": (binary_patterns, "texture"),
    "Hu moments": (hu_moments, "shape"),
}


def neighbors(
    vectors: NDArray[np.float32], silhouettes: NDArray[np.int64], *, euclid: bool = False
) -> NDArray[np.int64]:
    """(N, NEIGHBORS) rows most alike, those of the same silhouette left out."""
    likeness = vectors @ vectors.T
    if euclid:
        square = np.square(vectors).sum(axis=1)
        likeness = 2 * likeness - square[None]
    likeness[silhouettes[:, None] == silhouettes[None]] = -np.inf
    return np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBORS]


def precision(found: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float((labels[found] == labels[:, None]).mean())


def chance(labels: NDArray[np.int64]) -> float:
    share = np.bincount(labels) / len(labels)
    return float(np.square(share).sum())


def implied(
    labels: dict[str, NDArray[np.int64]], silhouettes: NDArray[np.int64], *, panels: bool
) -> float:
    """How often garments that show the very same colors have one texture.

    Cloth without a figure shows the ground of its palette alone (unless sewn of two panels), so
    colors tell it from the other textures: what a descriptor of nothing but color must leak. Only
    palettes of two hues are told apart by that; the others show two depths of one color.
    """
    figureless = np.isin(labels["texture"], [PATTERNS.index(name) for name in FIGURELESS])
    two_hues = np.array([" and " in name for name in PALETTES])[labels["color"]]
    shown = 2 * labels["color"] + (figureless & two_hues & (not panels))
    same = (shown[:, None] == shown[None]) & (silhouettes[:, None] != silhouettes[None])
    alike = labels["texture"][:, None] == labels["texture"][None]
    counts = same.sum(axis=1)
    return float(((same & alike).sum(axis=1) / np.maximum(counts, 1))[counts > 0].mean())


def draw_set(
    cuts: list[Cut], count: int, seed: int, *, panels: bool = False
) -> tuple[list[tuple[NDArray, NDArray]], dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Pictures with masks, their labels by criterion, and the silhouette each was cut from."""
    rng = np.random.default_rng(seed)
    classes = list(OUTLINES)
    by_class = [[i for i, cut in enumerate(cuts) if cut.category == c] for c in classes]
    labels = {
        "color": rng.integers(len(PALETTES), size=count),
        "texture": rng.integers(len(PATTERNS), size=count),
        "shape": rng.integers(len(classes), size=count),
    }
    silhouettes = np.array([rng.choice(by_class[label]) for label in labels["shape"]])
    names = list(PALETTES)
    pictures = [
        dress(
            cuts[silhouettes[i]],
            names[labels["color"][i]],
            PATTERNS[labels["texture"][i]],
            rng,
            panels=panels,
        )
        for i in range(count)
    ]
    return pictures, labels, silhouettes


def report(found: dict[str, NDArray[np.int64]], labels: dict[str, NDArray[np.int64]]) -> list[str]:
    """Markdown rows: descriptor, then precision@10 by each property (× chance in brackets)."""
    lines = []
    for name, rows in found.items():
        cells = [precision(rows, labels[criterion]) for criterion in CRITERIA]
        by_chance = [
            cell / chance(labels[criterion])
            for cell, criterion in zip(cells, CRITERIA, strict=True)
        ]
        text = [f"{c:.3f} ({b:.2f}×)" for c, b in zip(cells, by_chance, strict=True)]
        lines.append(f"| {name} | " + " | ".join(text) + " |")
    return lines


def leaks_by_hues(found: NDArray[np.int64], labels: dict[str, NDArray[np.int64]]) -> list[str]:
    """Color's leak of texture, of palettes of one hue and of two."""
    two_hues = np.array([" and " in name for name in PALETTES])[labels["color"]]
    lines = []
    for name, rows in (("one hue", ~two_hues), ("two hues", two_hues)):
        match = labels["texture"][found[rows]] == labels["texture"][rows][:, None]
        leak = float(match.mean()) / chance(labels["texture"])
        lines.append(f"color's leak of texture, palettes of {name}: {leak:.2f}×")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--df2", type=Path, help="unpacked DeepFashion2 folder with true masks")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--loose", action="store_true", help="masks at the resolution of a detector's mask head"
    )
    parser.add_argument(
        "--panels",
        action="store_true",
        help="plain and knit garments sewn of both colors: all that is labelled is shown",
    )
    parser.add_argument("--quick", action="store_true", help="300 pictures")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    count = 300 if arguments.quick else arguments.count
    if arguments.df2:
        cuts = read_cuts(arguments.df2, arguments.split)
    else:
        cuts = draw_cuts(240, arguments.seed)
    pictures, labels, silhouettes = draw_set(cuts, count, arguments.seed, panels=arguments.panels)
    if arguments.loose:
        pictures = [(image, loosen(mask)) for image, mask in pictures]
    described = describe_batch(pictures)
    failures = [f for f in described if isinstance(f, Failure)]
    if failures:
        raise SystemExit(f"{len(failures)} pictures could not be described: {failures[0]}")
    found = {}
    for criterion in CRITERIA:
        vectors = np.stack([getattr(f, criterion) for f in described])
        found[f"**clothret {criterion}**"] = neighbors(vectors, silhouettes)
    for name, (function, _) in CLASSICS.items():
        vectors = np.stack([function(*picture) for picture in pictures]).astype(np.float32)
        if name == "Hu moments":
            vectors = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
        found[name] = neighbors(vectors, silhouettes, euclid=name == "Hu moments")
    print(f"{count} pictures of {len(set(silhouettes.tolist()))} silhouettes, precision@10")
    print("\n| neighbors by | same color | same texture | same shape |\n|---|---|---|---|")
    print("| chance | " + " | ".join(f"{chance(labels[c]):.3f}" for c in CRITERIA) + " |")
    print("\n".join(report(found, labels)))
    texture = implied(labels, silhouettes, panels=arguments.panels)
    by_chance = texture / chance(labels["texture"])
    print(
        f"\nsame texture among garments that show the same colors: {texture:.3f} ({by_chance:.2f}×)"
    )
    print("\n".join(leaks_by_hues(found["**clothret color**"], labels)))


if __name__ == "__main__":
    main()
