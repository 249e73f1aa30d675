"""`clothret predict`: what the detector sees on any pictures."""

from pathlib import Path
from typing import Any

import click

from clothret.cli.base import common_options, emit, settings_for, table
from clothret.types import Detections


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", default="current", show_default=True, metavar="V", help="Model version.")
@click.option(
    "--detector", type=click.Choice(["model", "plain"]), default="model", show_default=True
)
@click.option("--threshold", type=click.FloatRange(0, 1), help="Lowest score shown.")
@common_options
def predict(
    images: tuple[Path, ...],
    out: Path,
    model: str,
    detector: str,
    threshold: float | None,
    lake: str | None,
    as_json: bool,
) -> None:
    """Draw boxes, masks, categories and scores on IMAGES (files or folders)."""
    from tqdm import tqdm

    from clothret.catalog.detectors import open_detector
    from clothret.imaging.decode import read_image
    from clothret.imaging.draw import draw_detections, save_jpeg
    from clothret.lake.storage import open_storage

    settings = settings_for(lake)
    if threshold is not None:
        segment = settings.segment.model_copy(update={"score_threshold": threshold})
        settings = settings.model_copy(update={"segment": segment})
    finder = open_detector(
        open_storage(settings.lake), settings.segment, model=model, kind=detector
    )
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in tqdm(expand(images), unit=" images", disable=None):
        pixels = read_image(path, max_pixels=settings.image.max_pixels)
        found = finder.detect([pixels])[0]
        picture = out / f"{path.stem}.jpg"
        save_jpeg(picture, draw_detections(pixels, found, finder.categories))
        garments = garments_to_rows(found, finder.categories)
        rows.append({"image": str(path), "picture": str(picture), "garments": garments})

    def people() -> None:
        shown = [{**row, "garments": len(row["garments"])} for row in rows]
        click.echo(table(shown, ["image", "garments", "picture"]))

    emit({"images": rows}, as_json, people)


def expand(paths: tuple[Path, ...]) -> list[Path]:
    """Files as they are, folders as the files within, by name."""
    return [
        file
        for path in paths
        for file in (
            sorted(entry for entry in path.iterdir() if entry.is_file())
            if path.is_dir()
            else [path]
        )
    ]


def garments_to_rows(found: Detections, categories: tuple[str, ...]) -> list[dict[str, Any]]:
    """Detections as the JSON rows of the contract."""
    return [
        {
            "box": [round(float(side), 2) for side in box],
            "category": categories[label - 1],
            "score": round(float(score), 4),
            "mask_rle": {"size": list(found.size), "counts": rle.decode("ascii")},
        }
        for box, label, score, rle in zip(
            found.boxes, found.labels, found.scores, found.rles, strict=True
        )
    ]
