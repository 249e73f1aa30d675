"""A wide family of cloth patterns to learn texture from: kinds, their renderers and scales."""

import cv2
import numpy as np

from clothret.features.fit import geometric, painted, prints, weaves
from clothret.features.fit.fields import Field, Pattern

Variant = tuple[Pattern, tuple[float, float], float]
"""A renderer, the range of one repeat as part of the garment's side, and how often."""

KINDS: dict[str, tuple[Variant, ...]] = {
    "plain": (
        (weaves.plain, (0.1, 0.3), 0.45),
        (weaves.faint_weave, (0.012, 0.05), 0.27),
        (weaves.grain, (0.1, 0.3), 0.18),
        (weaves.panels, (0.9, 1.1), 0.1),
    ),
    "horizontal stripes": ((geometric.horizontal_stripes, (0.035, 0.42), 1.0),),
    "vertical stripes": ((geometric.vertical_stripes, (0.035, 0.42), 1.0),),
    "diagonal stripes": ((geometric.diagonal_stripes, (0.05, 0.25), 1.0),),
    "checks": ((geometric.checks, (0.06, 0.4), 1.0),),
    "dots": (
        (geometric.dots, (0.05, 0.32), 0.85),
        (painted.strewn_dots, (0.06, 0.28), 0.15),
    ),
    "herringbone": (
        (weaves.herringbone, (0.045, 0.35), 0.8),
        (weaves.chevron, (0.08, 0.3), 0.2),
    ),
    "knit": (
        (weaves.stockinette, (0.03, 0.14), 0.3),
        (weaves.stitches, (0.04, 0.14), 0.15),
        (weaves.zigzag_rows, (0.03, 0.12), 0.2),
        (weaves.garter, (0.04, 0.12), 0.1),
        (weaves.moss, (0.03, 0.09), 0.15),
        (weaves.cable, (0.06, 0.2), 0.1),
    ),
    "animal": (
        (prints.leopard, (0.08, 0.3), 0.16),
        (prints.cheetah, (0.07, 0.25), 0.1),
        (prints.blotches, (0.07, 0.25), 0.1),
        (prints.contours, (0.05, 0.2), 0.06),
        (prints.maze, (0.09, 0.28), 0.08),
        (prints.giraffe, (0.1, 0.28), 0.08),
        (prints.zebra, (0.08, 0.3), 0.16),
        (painted.rosettes, (0.08, 0.3), 0.12),
        (painted.fur_spots, (0.08, 0.28), 0.08),
        (painted.fur_stripes, (0.1, 0.35), 0.06),
    ),
    "floral": (
        (prints.flowers, (0.1, 0.4), 0.2),
        (prints.round_petals, (0.1, 0.38), 0.2),
        (prints.roses, (0.14, 0.4), 0.06),
        (prints.sprigs, (0.14, 0.36), 0.06),
        (prints.two_layers, (0.16, 0.4), 0.08),
        (painted.blossoms, (0.1, 0.38), 0.18),
        (painted.daisies, (0.1, 0.38), 0.14),
        (painted.bouquets, (0.16, 0.4), 0.08),
    ),
    "denim": ((weaves.denim, (0.03, 0.07), 1.0),),
    "marl": ((weaves.marl, (0.04, 0.1), 1.0),),
    "argyle": ((geometric.argyle, (0.12, 0.35), 1.0),),
    "houndstooth": ((geometric.houndstooth, (0.1, 0.35), 1.0),),
    "lace": ((geometric.lace, (0.1, 0.25), 1.0),),
    "print": ((prints.graphic, (0.2, 0.3), 1.0),),
}
"""Kind → its variants."""


FINE = 10.0
"""Repeat in pixels below which a pattern is drawn at twice the size and averaged."""


def draw_field(kind: str, size: int, side: float, rng: np.random.Generator) -> Field:
    """A draped, turned and scaled sample of `kind`.

    Args:
        kind: one of `KINDS`.
        size: height and width of the field in pixels.
        side: the garment's side (square root of its area) in the same pixels.
    """
    variants = KINDS[kind]
    pattern, (low, high), _ = variants[rng.choice(len(variants), p=[v[2] for v in variants])]
    repeat = side * np.exp(rng.uniform(np.log(low), np.log(high)))
    zoom = 2 if repeat < FINE else 1
    drawn = size * zoom
    x, y = np.meshgrid(*((np.arange(drawn, dtype=np.float32) + 0.5) / zoom,) * 2)
    angle = np.deg2rad(rng.uniform(-24, 24)) * (rng.random() < 0.85)
    drape = rng.normal(0, rng.uniform(0, 0.12) * repeat + rng.uniform(0, 2), (2, 4, 4))
    bent = [
        cv2.resize(d.astype(np.float32), (drawn, drawn), interpolation=cv2.INTER_CUBIC)
        for d in drape
    ]
    x, y = x - size / 2 + bent[0], y - size / 2 + bent[1]
    aspect = np.exp(rng.normal(0, 0.12))
    u = (np.cos(angle) * x + np.sin(angle) * y) / repeat * aspect + rng.uniform(50, 90)
    v = (np.cos(angle) * y - np.sin(angle) * x) / repeat / aspect + rng.uniform(50, 90)
    field = pattern(u.astype(np.float32), v.astype(np.float32), rng).astype(np.float32)
    return cv2.resize(field, (size, size), interpolation=cv2.INTER_AREA) if zoom > 1 else field
