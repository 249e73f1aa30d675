"""DeepFashion2's thirteen categories and the binary scheme that ignores them.

Source: Ge et al., "DeepFashion2: A Versatile Benchmark for Detection, Pose Estimation,
Segmentation and Re-Identification of Clothing Images", CVPR 2019.
"""

from typing import Literal

Scheme = Literal["binary", "df2"]

BINARY_CATEGORIES: tuple[str, ...] = ("garment",)

DF2_CATEGORIES: tuple[str, ...] = (
    "short sleeve top",
    "long sleeve top",
    "short sleeve outwear",
    "long sleeve outwear",
    "vest",
    "sling",
    "shorts",
    "trousers",
    "skirt",
    "short sleeve dress",
    "long sleeve dress",
    "vest dress",
    "sling dress",
)

DF2_LANDMARKS: tuple[int, ...] = (25, 33, 31, 39, 15, 15, 10, 14, 8, 29, 37, 19, 19)
"""Landmarks per category, in the order of `DF2_CATEGORIES`; 294 in all."""


def category_names(scheme: Scheme) -> tuple[str, ...]:
    """Names of a scheme's categories; label `n` (from 1) is `names[n - 1]`."""
    if scheme == "binary":
        return BINARY_CATEGORIES
    if scheme == "df2":
        return DF2_CATEGORIES
    raise ValueError(f"scheme must be 'binary' or 'df2', got {scheme!r}")
