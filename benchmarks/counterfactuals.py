"""What moves when one property of a real garment is changed, and what must not.

True masks of a DeepFashion2 split. Each query garment is changed in its own photograph (hue
shifted, texture swapped, outline warped, light changed) and sought among the unchanged garments.
Reported per criterion: how many of the ten nearest neighbors of the unchanged garment are kept
(itself counts among them), and the cosine with itself.

    python benchmarks/counterfactuals.py --df2 FOLDER
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from garment_pictures import PATTERNS, Cut, cover_of, read_cuts, reencode
from numpy.typing import NDArray

from clothret.features import Failure, Features, describe_batch
from clothret.types import CRITERIA

NEIGHBORS = 10

RIM = 0.06
"""Width of a garment's rim as part of the square root of its area."""


def shift_hue(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """The garment's hue turned by 60° to 180°; gray cloth is tinted, for it has no hue."""
    hls = cv2.cvtColor(cut.image, cv2.COLOR_RGB2HLS)
    saturation = float(hls[..., 2][cut.mask].mean())
    hls[..., 0] = (hls[..., 0].astype(int) + int(rng.integers(30, 91))) % 180
    if saturation < 50:
        hls[..., 0] = int(rng.integers(180))
        hls[..., 2] = np.maximum(hls[..., 2], 110)
    changed = cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)
    return np.where(cut.mask[..., None], changed, cut.image), cut.mask


def swap_texture(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Another pattern of the garment's own pixels, its rim left as it is.

    A true mask's rim holds pixels of the background, which would be strewn over the cloth.
    """
    depth = cv2.distanceTransform(cut.mask.view(np.uint8), cv2.DIST_L2, 3)
    inside = depth > RIM * np.sqrt(np.count_nonzero(cut.mask))
    if np.count_nonzero(inside) < 0.2 * np.count_nonzero(cut.mask):
        inside = cut.mask
    changed = replace(cut, mask=inside)
    return swap_everywhere(changed, rng)[0], cut.mask


def swap_everywhere(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Another pattern of all of the garment's own pixels, those of its rim among them."""
    pattern = PATTERNS[int(rng.integers(1, len(PATTERNS)))]
    side = float(np.sqrt(np.count_nonzero(cut.mask)))
    cover, relief = cover_of(pattern, max(cut.mask.shape), side, rng)
    height, width = cut.mask.shape
    cover, relief = cover[:height, :width], relief[:height, :width]
    pixels = cut.image[cut.mask].astype(np.float32)
    luma = pixels @ np.array((0.299, 0.587, 0.114), np.float32)
    # same colors, other arrangement: the pixels' own values, ranked by the new pattern
    order = np.argsort(luma, kind="stable")
    noise = rng.normal(0, 0.02, len(pixels))
    rank = np.argsort(np.argsort(cover[cut.mask] + 2 * relief[cut.mask] + noise, kind="stable"))
    changed = cut.image.copy()
    changed[cut.mask] = pixels[order][rank].astype(np.uint8)
    return changed, cut.mask


def warp_outline(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """25-40 % cut off: at the hem, or at one side where the garment is wider than long."""
    rows, columns = np.flatnonzero(cut.mask.any(axis=1)), np.flatnonzero(cut.mask.any(axis=0))
    mask = cut.mask.copy()
    share = rng.uniform(0.25, 0.4)
    if len(rows) >= 0.8 * len(columns):
        mask[rows[0] + round(len(rows) * (1 - share)) :] = False
    else:
        mask[:, columns[0] + round(len(columns) * (1 - share)) :] = False
    return cut.image, mask


def change_light(cut: Cut, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Exposure −35…+20 %, white balance ±9 %, noise, JPEG 75."""
    gain = rng.uniform(0.65, 1.2) * rng.uniform(0.91, 1.09, 3)
    picture = cut.image * gain + rng.normal(0, 2, cut.image.shape)
    return reencode(np.clip(picture, 0, 255).astype(np.uint8), 75), cut.mask


CHANGES = {
    "hue shifted": shift_hue,
    "texture swapped": swap_texture,
    "texture swapped, rim too": swap_everywhere,
    "outline warped": warp_outline,
    "light changed": change_light,
}


def described(pairs: list[tuple[NDArray, NDArray]]) -> list[Features]:
    found = describe_batch(pairs)
    bad = [f for f in found if isinstance(f, Failure)]
    if bad:
        raise SystemExit(f"{len(bad)} garments could not be described: {bad[0]}")
    return [f for f in found if isinstance(f, Features)]


def top(queries: NDArray, gallery: NDArray) -> NDArray[np.int64]:
    return np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :NEIGHBORS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--df2", type=Path, required=True, help="unpacked DeepFashion2 folder")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--queries", type=int, default=120)
    parser.add_argument("--quick", action="store_true", help="30 queries")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(8)
    cuts = read_cuts(arguments.df2, arguments.split, pictures=True, least=2500)
    originals = described([(cut.image, cut.mask) for cut in cuts])
    count = min(30 if arguments.quick else arguments.queries, len(cuts))
    queries = rng.permutation(len(cuts))[:count]
    gallery = {c: np.stack([getattr(f, c) for f in originals]) for c in CRITERIA}
    print(f"{count} garments changed, {len(cuts)} in the gallery\n")
    print("| changed | " + " | ".join(f"{c}: kept of 10, cosine" for c in CRITERIA) + " |")
    print("|---|---|---|---|")
    for name, change in CHANGES.items():
        changed = described([change(cuts[row], rng) for row in queries])
        cells = []
        for criterion in CRITERIA:
            vectors = np.stack([getattr(f, criterion) for f in changed])
            before = top(gallery[criterion][queries], gallery[criterion])
            after = top(vectors, gallery[criterion])
            kept = [
                len(set(a) & set(b)) for a, b in zip(before.tolist(), after.tolist(), strict=True)
            ]
            cosine = (vectors * gallery[criterion][queries]).sum(axis=1).mean()
            cells.append(f"{np.mean(kept):.2f}, {cosine:.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
