"""Garments in pictures: training, inference, evaluation.

The names below are loaded when they are used, so that importing the package costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clothret.detection.evaluation import EvaluationReport, evaluate
    from clothret.detection.inference import Detector, load_detector
    from clothret.detection.plain import PlainDetector

CODE = "3"
"""Changes when the same model would answer otherwise; part of every detector's digest."""

__all__ = ["CODE", "Detector", "EvaluationReport", "PlainDetector", "evaluate", "load_detector"]

_HOMES = {
    "Detector": "inference",
    "EvaluationReport": "evaluation",
    "PlainDetector": "plain",
    "evaluate": "evaluation",
    "load_detector": "inference",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
