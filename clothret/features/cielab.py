"""CIELAB: conversion, and the difference the eye sees."""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ENCODED_STEP = np.array((100 / 255, 1, 1), np.float32)
ENCODED_ZERO = np.array((0, 128, 128), np.float32)


def encode_lab(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(…, 3) uint8 sRGB to 8-bit CIELAB: L* × 2.55, a* + 128, b* + 128 (illuminant D65)."""
    flat = np.ascontiguousarray(rgb).reshape(1, -1, 3)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)


def decode_lab(encoded: NDArray) -> Array:
    """8-bit CIELAB to L* in [0, 100], a* and b*."""
    return ((encoded - ENCODED_ZERO) * ENCODED_STEP).astype(np.float32)


def lab_to_rgb(lab: Array) -> NDArray[np.uint8]:
    """(…, 3) CIELAB to uint8 sRGB, clipped."""
    encoded = np.clip(np.round(lab / ENCODED_STEP + ENCODED_ZERO), 0, 255).astype(np.uint8)
    return cv2.cvtColor(encoded.reshape(1, -1, 3), cv2.COLOR_LAB2RGB).reshape(lab.shape)


def difference(first: Array, second: Array) -> Array:
    """CIEDE2000 color difference of CIELAB colors, broadcast over the leading axes.

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes",
    Color Research and Application 30(1), 2005; all weights 1.
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    gain = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    c1, c2 = np.hypot(a1 * gain, b1), np.hypot(a2 * gain, b2)
    h1, h2 = np.arctan2(b1, a1 * gain), np.arctan2(b2, a2 * gain)
    turn = (h2 - h1 + np.pi) % (2 * np.pi) - np.pi
    turn = np.where(c1 * c2 == 0, 0, turn)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    middle = np.where(c1 * c2 == 0, h1 + h2, h1 + turn / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(middle - np.pi / 6)
        + 0.24 * np.cos(2 * middle)
        + 0.32 * np.cos(3 * middle + np.deg2rad(6))
        - 0.20 * np.cos(4 * middle - np.deg2rad(63))
    )
    degrees = np.rad2deg(middle) % 360
    rotation = np.deg2rad(60 * np.exp(-(((degrees - 275) / 25) ** 2)))
    twist = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(rotation)
    scale_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    parts = (
        (l2 - l1) / scale_light,
        (c2 - c1) / (1 + 0.045 * chroma),
        hue / (1 + 0.015 * chroma * weight),
    )
    square = sum(part * part for part in parts) + twist * parts[1] * parts[2]
    return np.sqrt(np.maximum(square, 0)).astype(np.float32)
