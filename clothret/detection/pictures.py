"""Pictures of an evaluation: curves, confusion, slices, and the worst mistakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clothret.detection.coco_eval import KINDS, RECALLS, SLICES, THRESHOLDS, Figures
from clothret.detection.mistakes import FAULTS, Fault, Mistake
from clothret.imaging.decode import read_image
from clothret.imaging.masks import rle_decode
from clothret.types import Annotations, Detections, category_names

INK, SOFT, GRID = "#1f2933", "#616e7c", "#e4e7eb"
BLUE, ORANGE = "#2563eb", "#ea580c"
TITLES = {"bbox": "boxes", "segm": "masks"}
TRUTH_COLOR, FOUND_COLOR = (52, 211, 153), (255, 82, 82)
CELL = 300
"""Side in pixels of one mistake in the gallery."""
SLICE_WORDS = {
    "scale": ("small", "moderate", "large"),
    "occlusion": ("slight", "medium", "heavy"),
    "zoom_in": ("none", "medium", "large"),
    "viewpoint": ("not worn", "frontal", "side or back"),
}


def draw_curves(figures: Figures, path: Path) -> Path:
    """Precision over recall: by IoU with categories ignored, and by category at IoU 0.5."""
    names = category_names(figures.scheme)
    rows = 1 if len(names) == 1 else 2
    figure = Figure(figsize=(11, 4.6 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False)
    for axes, kind in zip(grid[0], KINDS, strict=True):
        curves = figures.binary[kind]
        shades = _shades(len(THRESHOLDS[::2]))
        for place, shade in zip(range(0, len(THRESHOLDS), 2), shades, strict=True):
            values = curves.precision[place, :, 0, 0]
            label = f"IoU {THRESHOLDS[place]:.2f}   AP {max(values.mean(), 0):.2f}"
            axes.plot(RECALLS, values.clip(0), color=shade, lw=2, label=label)
        ap = curves.summary()["AP"]
        _finish_curve(axes, f"Garments, {TITLES[kind]}: AP {_figure(ap)}")
    for axes, kind in zip(grid[1] if rows == 2 else [], KINDS, strict=False):
        curves = figures.own[kind]
        colors = _categorical(len(names))
        for k, name in enumerate(names):
            values = curves.precision[0, :, k, 0]
            if values.max() >= 0:
                label = f"{name}  {values.mean():.2f}"
                axes.plot(RECALLS, values, color=colors[k], lw=1.6, label=label)
        ap50 = curves.summary()["AP50"]
        _finish_curve(axes, f"By category at IoU 0.5, {TITLES[kind]}: AP50 {_figure(ap50)}")
    return _save(figure, path)


def draw_confusion(table: NDArray[np.int64], names: Sequence[str], path: Path) -> Path:
    """The confusion matrix as shares of each true category, with counts."""
    labels = [*names, "background"]
    side = max(4.2, 0.62 * len(labels) + 2.6)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if row == column == len(names):
            axes.text(column, row, "–", ha="center", va="center", color=SOFT)
        elif count:
            color = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("detected", color=SOFT)
    axes.set_ylabel("true", color=SOFT)
    axes.set_title("Which category is taken for which", color=INK, loc="left", fontweight="bold")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, label="share of the row")
    bar.outline.set_visible(False)
    return _save(figure, path)


def draw_slices(slices: Mapping[str, Mapping[str, Any]], path: Path) -> Path:
    """Box and mask AP of each of DeepFashion2's slices."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    grid = figure.subplots(1, len(SLICES), sharey=True)
    for axes, attribute in zip(grid, SLICES, strict=True):
        rows = list(slices[attribute].values())
        for shift, kind, color in ((-0.2, "bbox", BLUE), (0.2, "segm", ORANGE)):
            values = [row[kind]["AP"] for row in rows]
            places = np.arange(len(rows)) + shift
            axes.bar(places, np.clip(values, 0, 1), 0.36, color=color, label=TITLES[kind])
            for x, value in zip(places, values, strict=True):
                axes.annotate(
                    _figure(value), (x, max(value, 0)), (0, 2), textcoords="offset points",
                    ha="center", fontsize=8, color=SOFT,
                )  # fmt: skip
        words = [
            f"{word}\n{row['garments']:,}"
            for word, row in zip(SLICE_WORDS[attribute], rows, strict=True)
        ]
        axes.set_xticks(range(len(rows)), words, fontsize=8.5)
        axes.set_title(attribute.replace("_", "-"), color=INK, loc="left", fontweight="bold")
        axes.set_ylim(0, 1.05)
        _quiet(axes)
    grid[0].set_ylabel("AP", color=SOFT)
    grid[-1].legend(frameon=False, fontsize=9, loc="upper right")
    return _save(figure, path)


def draw_mistakes(
    annotations: Annotations,
    detections: Sequence[Detections],
    mistakes: Mapping[Fault, Sequence[Mistake]],
    names: Sequence[str],
    path: Path,
) -> Path:
    """A gallery, a row per fault: the truth in green, what was found in red."""
    columns = max(1, *(len(mistakes[fault]) for fault in FAULTS))
    width = max(6.0, 2.3 * columns)
    heights = [3.4 if mistakes[fault] else 0.5 for fault in FAULTS]
    figure = Figure(figsize=(width, sum(heights) + 0.4), layout="constrained")
    figure.suptitle("The worst mistakes: truth in green, found in red", color=SOFT, fontsize=10)
    bands = figure.subfigures(len(FAULTS), 1, height_ratios=heights)
    for band, fault in zip(bands, FAULTS, strict=True):
        title = (fault if mistakes[fault] else f"{fault}: none").capitalize()
        band.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
        if not mistakes[fault]:
            continue
        row = band.subplots(1, columns, squeeze=False)[0]
        for axes in row:
            axes.set_axis_off()
        for axes, mistake in zip(row, mistakes[fault], strict=False):
            axes.imshow(_mistake_picture(annotations, detections, mistake))
            text = _mistake_text(annotations, detections, mistake, names)
            axes.set_title(text, fontsize=8, color=SOFT)
    return _save(figure, path)


def _mistake_picture(
    annotations: Annotations, detections: Sequence[Detections], mistake: Mistake
) -> NDArray[np.uint8]:
    image = read_image(annotations.path(mistake.row))
    size = image.shape[:2]
    scale = CELL / max(size)
    shape = (max(1, round(size[1] * scale)), max(1, round(size[0] * scale)))
    canvas = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    canvas = (canvas * 0.85 + 38).astype(np.uint8)  # paler, so that the outlines stand out
    masks = []
    if mistake.garment is not None:
        masks.append((annotations.rle(mistake.garment), TRUTH_COLOR))
    if mistake.detection is not None:
        masks.append((detections[mistake.row].rles[mistake.detection], FOUND_COLOR))
    for rle, color in masks:
        mask = cv2.resize(rle_decode(rle, size).astype(np.uint8), shape)
        outline, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outline, -1, (255, 255, 255), 5, cv2.LINE_AA)
        cv2.drawContours(canvas, outline, -1, color, 3, cv2.LINE_AA)
    return canvas


def _mistake_text(
    annotations: Annotations,
    detections: Sequence[Detections],
    mistake: Mistake,
    names: Sequence[str],
) -> str:
    file = annotations.file_name[mistake.row].as_py().rpartition("/")[2]
    if mistake.fault == "missed":
        assert mistake.garment is not None
        label = int(annotations.category[mistake.garment]) if len(names) > 1 else 1
        return f"{names[label - 1]}\n{mistake.measure:.0%} of {file}"
    assert mistake.detection is not None
    found = detections[mistake.row]
    word = names[int(found.labels[mistake.detection]) - 1]
    measure = "score" if mistake.fault == "false" else "mask IoU"
    return f"{word}\n{measure} {mistake.measure:.2f}, {file}"


def _finish_curve(axes: Axes, title: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall", color=SOFT)
    axes.set_ylabel("precision", color=SOFT)
    axes.set_title(title, color=INK, loc="left", fontweight="bold")
    axes.legend(fontsize=8.5, loc="lower left", facecolor="white", edgecolor=GRID, framealpha=0.9)
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=SOFT, length=0)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def _figure(value: float) -> str:
    return "–" if value < 0 else f"{value:.2f}"


def _shades(count: int) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    return [colormaps["viridis"](place) for place in np.linspace(0.1, 0.85, count)]


def _categorical(count: int) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    return [colormaps["tab20"](place % 20) for place in range(count)]


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")
    return path
