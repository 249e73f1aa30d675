"""Contact sheets to look at: twelve queries, each with its eight nearest by one criterion.

Garments of a catalog folder (`items.csv` with columns item_id, image, label; plain grounds) are
cut out without a trained model and described; one sheet is written per criterion.

    python benchmarks/contact_sheets.py --catalog FOLDER --out docs/features
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.detection.plain import PlainDetector
from clothret.features import Features, calibrate, describe_batch
from clothret.features.explain import cut_garment
from clothret.imaging.decode import read_image
from clothret.imaging.masks import rle_decode
from clothret.types import CRITERIA

QUERIES, HITS, TILE, CAPTION = 12, 8, 104, 16
LEFT_OUT = ("Hat", "Shoes", "hat", "shoes")


@dataclass(frozen=True, slots=True, eq=False)
class Garment:
    item: str
    label: str
    picture: NDArray[np.uint8]
    features: Features


def read_garments(catalog: Path) -> list[Garment]:
    """The largest garment of every picture in which one was found and could be described."""
    detector = PlainDetector()
    with (catalog / "items.csv").open(newline="") as file:
        items = [row for row in csv.DictReader(file) if row.get("label") not in LEFT_OUT]
    garments = []
    for item in items:
        image = read_image(catalog / item["image"])
        found = detector.detect([image])[0]
        if not len(found):
            continue
        mask = rle_decode(found.rles[int(found.areas.argmax())], found.size)
        features = describe_batch([(image, mask)])[0]
        if isinstance(features, Features):
            picture = cut_garment(image, mask)
            garments.append(Garment(item["item_id"], item.get("label", ""), picture, features))
    return garments


def tile_of(picture: NDArray[np.uint8], caption: str, framed: bool) -> NDArray[np.uint8]:
    """(TILE + CAPTION, TILE, 3): the picture in a square with a line of text below."""
    tile = np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)
    height, width = picture.shape[:2]
    scale = (TILE - 8) / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    if framed:
        cv2.rectangle(tile, (1, 1), (TILE - 2, TILE - 2), (40, 90, 200), 2)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(tile, caption, (3, TILE + 11), font, 0.32, (60, 60, 60), 1, cv2.LINE_AA)
    return tile


def sheet(garments: list[Garment], criterion: str, queries: NDArray[np.int64]) -> NDArray[np.uint8]:
    vectors = np.stack([getattr(garment.features, criterion) for garment in garments])
    rows = []
    for query in queries:
        cosines = vectors @ vectors[query]
        cosines[query] = -np.inf
        scores = calibrate(np.repeat(np.maximum(cosines, -1)[:, None], 3, axis=1))
        column = scores[:, CRITERIA.index(criterion)]
        asked = garments[query]
        word = asked.features.pattern if criterion == "texture" else asked.label
        word = asked.features.color_name if criterion == "color" else word
        tiles = [tile_of(asked.picture, word, True)]
        for hit in np.argsort(-cosines, kind="stable")[:HITS]:
            tiles.append(tile_of(garments[hit].picture, f"{column[hit]:.2f}", False))
        rows.append(np.hstack(tiles))
    return np.vstack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    garments = read_garments(arguments.catalog)
    queries = np.random.default_rng(arguments.seed).permutation(len(garments))[:QUERIES]
    arguments.out.mkdir(parents=True, exist_ok=True)
    for criterion in CRITERIA:
        path = arguments.out / f"{criterion}.jpg"
        picture = sheet(garments, criterion, queries)
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
        print(f"{path}: {len(garments)} garments")


if __name__ == "__main__":
    main()
