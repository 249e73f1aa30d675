"""Color, texture and shape of a segmented garment, and why two of them are alike."""

from clothret.features.calibration import calibrate
from clothret.features.describe import DIMS, SCHEMA, Failure, Features, describe_batch, extract
from clothret.features.palette import Swatch
from clothret.features.quality import Quality

__all__ = [
    "DIMS",
    "SCHEMA",
    "Failure",
    "Features",
    "Quality",
    "Swatch",
    "calibrate",
    "describe_batch",
    "extract",
]
