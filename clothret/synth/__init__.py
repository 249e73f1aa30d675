"""Generated garments and scenes: the embedded default data and the ground truth of the criteria."""

from clothret.synth.garment import render_garment
from clothret.synth.generate import PASSWORD, SynthReport, generate
from clothret.synth.spec import TEXTURES, GarmentSpec, Shape, random_shape, random_spec

__all__ = [
    "PASSWORD",
    "TEXTURES",
    "GarmentSpec",
    "Shape",
    "SynthReport",
    "generate",
    "random_shape",
    "random_spec",
    "render_garment",
]
