"""The cosines that `clothret.features.calibration` maps to scores of 0 and 1, measured anew.

0: the lower quartile of two garments drawn at random from a folder of product photographs, cut out
by the plain-ground detector. 1: the upper decile of one garment and its altered picture, as
`same_garment.py` makes them of a DeepFashion2 split.

    python benchmarks/calibration.py --catalog FOLDER --df2 FOLDER
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from garment_pictures import read_cuts
from numpy.typing import NDArray
from same_garment import described, replace, stacked

from clothret.detection.plain import PlainDetector
from clothret.imaging.decode import read_image
from clothret.imaging.masks import rle_decode
from clothret.types import CRITERIA


def catalog_garments(folder: Path) -> list[tuple[NDArray, NDArray]]:
    """Picture and mask of the largest garment of each photograph in which one is found."""
    detector, pairs = PlainDetector(), []
    for path in sorted(folder.glob("*.jpg")):
        image = read_image(path)
        found = detector.detect([image])[0]
        masks = [rle_decode(rle, found.size) for rle in found.rles]
        if masks:
            pairs.append((image, max(masks, key=np.count_nonzero)))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", type=Path, required=True, help="folder of product photographs")
    parser.add_argument("--df2", type=Path, required=True, help="unpacked DeepFashion2 folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--garments", type=int, default=220, help="of the split")
    parser.add_argument("--quick", action="store_true", help="30 garments of the split")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(4)
    strangers = described(catalog_garments(arguments.catalog))
    cuts = read_cuts(arguments.df2, arguments.split, pictures=True, least=2500)
    cuts = cuts[: 30 if arguments.quick else arguments.garments]
    before = described([(cut.image, cut.mask) for cut in cuts])
    after = described([replace(cut, rng) for cut in cuts])
    print(f"{len(strangers)} garments of the catalog, {len(cuts)} of the split\n")
    print("| criterion | cosine that scores 0 | cosine that scores 1 |\n|---|---|---|")
    for criterion in CRITERIA:
        vectors = stacked(strangers, criterion)
        apart = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        same = (stacked(before, criterion) * stacked(after, criterion)).sum(axis=1)
        print(f"| {criterion} | {np.quantile(apart, 0.25):.3f} | {np.quantile(same, 0.9):.3f} |")


if __name__ == "__main__":
    main()
