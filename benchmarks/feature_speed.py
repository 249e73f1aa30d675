"""Milliseconds per garment of describing, by part; processor time of one thread, decode excluded.

python benchmarks/feature_speed.py
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from garment_pictures import PALETTES, PATTERNS, draw_cuts, dress

from clothret.features import describe_batch
from clothret.features.canvas import cut_out
from clothret.features.color import color_vector
from clothret.features.describe import CHUNK
from clothret.features.palette import palette
from clothret.features.shape import shape_vector
from clothret.features.texture import texture_vectors


def milliseconds(work: Callable[[], object], garments: int, rounds: int) -> float:
    """Median over rounds of the processor time per garment."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append((time.process_time() - start) / garments * 1e3)
    return float(np.median(taken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--garments", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="one round of 10 garments")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    count, rounds = (10, 1) if arguments.quick else (arguments.garments, 5)
    rng = np.random.default_rng(1)
    names = list(PALETTES)
    pairs = [
        dress(cut, names[i % len(names)], PATTERNS[i % len(PATTERNS)], rng)
        for i, cut in enumerate(draw_cuts(count, 1))
    ]
    cut_outs = [cut_out(*pair) for pair in pairs]
    parts: dict[str, Callable[[], object]] = {
        "cut out and scale": lambda: [cut_out(*pair) for pair in pairs],
        "color": lambda: [color_vector(canvas) for canvas in cut_outs],
        "texture": lambda: [
            texture_vectors(cut_outs[i : i + CHUNK]) for i in range(0, count, CHUNK)
        ],
        "shape": lambda: [shape_vector(mask) for _, mask in pairs],
        "palette and names": lambda: [palette(canvas) for canvas in cut_outs],
        "describe_batch, everything": lambda: describe_batch(pairs),
    }
    print(f"{count} garments in pictures of 224 px at distance 0.55-1\n")
    print("| part | ms per garment |\n|---|---|")
    for name, work in parts.items():
        print(f"| {name} | {milliseconds(work, count, rounds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
