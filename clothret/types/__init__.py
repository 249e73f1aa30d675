"""Values that cross the boundaries between packages."""

from clothret.types.annotations import Annotations
from clothret.types.categories import (
    BINARY_CATEGORIES,
    DF2_CATEGORIES,
    DF2_LANDMARKS,
    Scheme,
    category_names,
)
from clothret.types.criteria import CRITERIA, Weights
from clothret.types.detections import Detections
from clothret.types.ids import garment_id, image_id, split_garment_id

__all__ = [
    "BINARY_CATEGORIES",
    "CRITERIA",
    "DF2_CATEGORIES",
    "DF2_LANDMARKS",
    "Annotations",
    "Detections",
    "Scheme",
    "Weights",
    "category_names",
    "garment_id",
    "image_id",
    "split_garment_id",
]
