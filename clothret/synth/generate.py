"""Writes generated data in DeepFashion2's layout, and a catalog beside it."""

import itertools
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np

from clothret.errors import InputError
from clothret.synth.archive import ZipWriter
from clothret.synth.catalog import Item, items_csv, plan_items, render_item, truth_csv
from clothret.synth.plan import Picture, plan_split, record_to_json, render, settle_styles

logger = logging.getLogger(__name__)

PASSWORD = "clothret"
SPLITS = ("train", "validation")
LEAST_IMAGES, MOST_IMAGES = 5, 40_000  # an archive holds 65,535 files, two to a picture
SIZES = (96, 1024)
BATCH = 400  # pictures encrypted together

Progress = Callable[[int, int, str], None]
T = TypeVar("T")
R = TypeVar("R")


class Mapper(Protocol):
    """`map`, wherever it runs; results come in order."""

    def __call__(self, function: Callable[[T], R], values: Iterable[T], /) -> Iterator[R]: ...


@dataclass(frozen=True, slots=True)
class SynthReport:
    """What was written.

    Attributes:
        out: the folder.
        train, validation: pictures in each archive.
        items: in the catalog; `item_images`: their pictures.
        seconds: it took.
    """

    out: Path
    train: int
    validation: int
    items: int
    item_images: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Counts of pictures and items, and where they are."""
        return {
            "train": self.train,
            "validation": self.validation,
            "items": self.items,
            "item_images": self.item_images,
            "paths": {
                "train": str(self.out / "train.zip"),
                "validation": str(self.out / "validation.zip"),
                "catalog": str(self.out / "catalog"),
            },
            "seconds": round(self.seconds, 2),
        }


def generate(
    out: Path,
    *,
    images: int,
    items: int,
    seed: int,
    size: int = 320,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> SynthReport:
    """Write `out/train.zip`, `out/validation.zip` and `out/catalog/{image/,items.csv,truth.csv}`.

    The same arguments give the same bytes, whatever the number of workers. Each part appears
    under its name when it is whole.

    Args:
        images: pictures in the two archives, 4:1, at least `LEAST_IMAGES`.
        items: of the catalog; a quarter have two pictures.
        size: pixels of a picture's longer side, 96..1024.
        workers: processes. More than one are spawned, so a script must guard its main module.
        on_progress: called with pictures done, pictures in all, and what is being made.

    Raises:
        InputError: a number out of range, or `out` holds a catalog that is not generated.
    """
    started = time.monotonic()
    _check(out, images, items, seed, size)
    counts = (images - images // 5, images // 5)
    plans = [plan_split(seed, split, count, size) for split, count in enumerate(counts)]
    wares = plan_items(seed, items)
    ticker = _Ticker(images + items, on_progress)
    out.mkdir(parents=True, exist_ok=True)
    with _mapper(workers) as run:
        for split, (name, pictures) in enumerate(zip(SPLITS, plans, strict=True)):
            rng = np.random.default_rng([seed, split, 4])
            _write_split(out / f"{name}.zip", name, pictures, rng, run, ticker)
        _write_catalog(out / "catalog", wares, size, run, ticker)
    seconds = time.monotonic() - started
    shots = sum(len(item.views) for item in wares)
    logger.info("generated %d pictures and %d items in %.1f s", images, items, seconds)
    return SynthReport(out, *counts, items, shots, seconds)


def _check(out: Path, images: int, items: int, seed: int, size: int) -> None:
    """Everything that is wrong with the arguments, at once."""
    faults = []
    if not LEAST_IMAGES <= images <= MOST_IMAGES:
        faults.append(f"images must be {LEAST_IMAGES}..{MOST_IMAGES}, got {images}")
    if items < 0:
        faults.append(f"items must be 0 or more, got {items}")
    if seed < 0:
        faults.append(f"seed must be 0 or more, got {seed}")
    if not SIZES[0] <= size <= SIZES[1]:
        faults.append(f"size must be {SIZES[0]}..{SIZES[1]} pixels, got {size}")
    if out.exists() and not out.is_dir():
        faults.append(f"{out} must be a folder, it is a file")
    catalog = out / "catalog"
    if catalog.exists() and not (catalog / "truth.csv").is_file() and any(catalog.iterdir()):
        faults.append(f"{catalog} holds files that were not generated; choose another folder")
    if faults:
        raise InputError("; ".join(faults))


class _Ticker:
    """Counts what is done."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self.done, self.total, self.on_progress = 0, total, on_progress

    def tick(self, what: str) -> None:
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(self.done, self.total, what)


@contextmanager
def _mapper(workers: int) -> Iterator[Mapper]:
    """`map`, in this process or over several."""
    if workers <= 1:
        yield map
        return
    # one thread to a process: OpenCV would start one per core in each
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield partial(pool.map, chunksize=8)


def _batches(pictures: list[Picture]) -> Iterator[list[Picture]]:
    """Batches of about `BATCH` pictures that keep each look together."""
    batch: list[Picture] = []
    for _, look in itertools.groupby(pictures, key=lambda picture: picture.pair_id):
        batch += look
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_split(
    path: Path, name: str, pictures: list[Picture], rng: np.random.Generator, run: Mapper,
    ticker: _Ticker,
) -> None:  # fmt: skip
    with ZipWriter(path, PASSWORD.encode(), rng) as archive:
        for folder in (f"{name}/", f"{name}/image/", f"{name}/annos/"):
            archive.add_folder(folder)
        for batch in _batches(pictures):
            jpegs, records = [], []
            for jpeg, record in run(render, batch):
                jpegs.append(jpeg)
                records.append(record)
                ticker.tick(name)
            settle_styles(records)
            archive.add_files(
                [
                    file
                    for picture, jpeg, record in zip(batch, jpegs, records, strict=True)
                    for file in (
                        (f"{name}/image/{picture.number:06d}.jpg", jpeg),
                        (f"{name}/annos/{picture.number:06d}.json", record_to_json(record)),
                    )
                ]
            )


def _write_catalog(
    folder: Path, items: list[Item], size: int, run: Mapper, ticker: _Ticker
) -> None:
    """Write into a folder beside it, then put that in its place."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "image").mkdir(parents=True)
    for pictures in run(partial(render_item, size=size), items):
        for path, jpeg in pictures:
            (part / path).write_bytes(jpeg)
        ticker.tick("catalog")
    (part / "items.csv").write_bytes(items_csv(items))
    (part / "truth.csv").write_bytes(truth_csv(items))
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(part, folder)
