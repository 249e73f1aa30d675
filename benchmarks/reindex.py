"""What a night costs: `python benchmarks/reindex.py [--images 1000] [--replay 100000]`.

Two catalogs. The first is of generated pictures, segmented and described for real (plain-background
detector): a full run, then nights in which nothing, prices alone, or 1 % of the pictures changed.
The second is large: its pictures are small files whose detections and features are recorded
beforehand and replayed as finished shards, so that everything but decoding and describing is
measured at 100,000 images: items table, scan, comparison, segments, tables, checks, publishing.
"""

import argparse
import logging
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clothret.catalog import ReindexReport, add_catalog, index_catalog, open_generation, reindex
from clothret.catalog.detectors import detector_spec
from clothret.catalog.shards import shard_folder, write_shard
from clothret.catalog.work import Garment, Outcome
from clothret.features import DIMS
from clothret.imaging.masks import rle_encode
from clothret.lake.digests import digest_bytes
from clothret.lake.storage import open_storage
from clothret.settings import Settings

SIDE = 160  # pixels of a generated picture
SHARD = 5000


def paint(seed: int) -> bytes:
    """A JPEG of a striped product of its own form on white."""
    generator = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 245, np.uint8)
    colors = generator.integers(0, 170, (2, 3))
    form = np.zeros((SIDE, SIDE), np.uint8)
    axes = [int(value) for value in generator.integers(SIDE // 5, SIDE // 2.4, 2)]
    cv2.ellipse(form, (SIDE // 2, SIDE // 2), axes, int(generator.integers(90)), 0, 360, 1, -1)
    stripes = (np.arange(SIDE)[:, None] // int(generator.integers(3, 12))) % 2
    pattern = colors[np.broadcast_to(stripes, (SIDE, SIDE))]
    image[form > 0] = pattern[form > 0]
    return cv2.imencode(".jpg", image)[1].tobytes()


def write_items(path: Path, names: list[str], night: int) -> None:
    """A table with the sample's columns; `night` moves the prices."""
    rows = [
        f"{name[:-4]},{name},shirt,Brand{number % 20},{5 + (number * 7 + night) % 90}.5,"
        f"{number % 3 > 0},2026-01-{1 + number % 28:02}"
        for number, name in enumerate(names)
    ]
    header = "item_id,image,label,brand,price,in_stock,listed"
    path.write_text("\n".join([header, *rows]) + "\n")


def settings_of(lake: Path) -> Settings:
    return Settings.load(lake=str(lake), segment={"detector": "plain"})


def row(name: str, report: ReindexReport) -> str:
    """One line of the table."""
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report.stages.items())
    return (
        f"| {name} | {report.seconds:.2f} | {report.decoded} | {report.metadata_rows} | {stages} |"
    )


HEADER = "| night | seconds | decoded | metadata rows | stages, s |\n|---|---|---|---|---|"


def real(folder: Path, count: int) -> None:
    """Generated pictures from end to end."""
    images, items = folder / "images", folder / "items.csv"
    images.mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (images / name).write_bytes(paint(number))
    write_items(items, names, 0)
    settle(*images.iterdir())
    settings = settings_of(folder / "lake")
    source = {"images": str(images), "items": str(items)}
    full = reindex(settings, "real", **source)
    print(f"\n{count:,} generated pictures of {SIDE} px, plain-background detector\n\n{HEADER}")
    print(row("full", full))
    quiet = reindex(settings, "real")
    print(row("unchanged", quiet))
    write_items(items, names, 1)
    print(row("prices alone", reindex(settings, "real")))
    one = max(1, count // 100)
    for number in range(one):
        file = images / names[number * 97 % count]
        file.write_bytes(paint(count + number))
        settle(file)
    changed = reindex(settings, "real")
    print(row("1 % changed", changed))
    fixed = quiet.seconds
    share = (changed.seconds - fixed) / full.seconds
    print(f"\nfull: {count / full.stages['segment']:.1f} images/s; ", end="")
    print(f"fixed cost (an unchanged night) {fixed:.2f} s; ", end="")
    print(f"1 % changed: {changed.decoded} decoded, {share:.1%} of the full run beyond it")


def settle(*files: Path) -> None:
    """Date files back: what was written within two seconds of a scan is read again."""
    past = time.time() - 60
    for file in files:
        os.utime(file, (past, past))


def outcomes(datas: list[bytes], seed: int) -> list[Outcome]:
    """Recorded results: one garment a picture, with random unit vectors."""
    generator = np.random.default_rng(seed)
    rle = rle_encode(np.pad(np.ones((60, 40), np.uint8), 20))
    found = []
    for data in datas:
        vectors = []
        for width in DIMS.values():
            vector = generator.normal(size=width).astype(np.float32)
            vectors.append((vector / np.linalg.norm(vector)).tobytes())
        facts = ("blue", "plain", '[{"hex":"#0000ff","name":"blue","share":1.0}]', 0.9, "")
        garment = Garment(0, (20.0, 20.0, 60.0, 80.0), 0.9, 1, rle, tuple(vectors), facts)
        digest = digest_bytes(data)
        found.append(Outcome(digest, digest, (100, 80), (100, 80), (garment,)))
    return found


def record(settings: Settings, datas: list[bytes], seed: int) -> None:
    """Leave results as finished shards."""
    lake = open_storage(settings.lake)
    folder = shard_folder("replay", detector_spec(lake, settings.segment).digest)
    for first in range(0, len(datas), SHARD):
        part = outcomes(datas[first : first + SHARD], seed + first)
        write_shard(lake, folder, part, described=True)


def replay(folder: Path, count: int) -> None:
    """Recorded results at scale."""
    logging.disable(logging.WARNING)  # the pictures are none: no sheet of samples
    images, items = folder / "images", folder / "items.csv"
    names = [f"{number // 1000:04}/{number:08}.jpg" for number in range(count)]
    for part in {name[:4] for name in names}:
        (images / part).mkdir(parents=True)
    datas = [f"picture {number}".encode() for number in range(count)]
    for name, data in zip(names, datas, strict=True):
        (images / name).write_bytes(data)
    settle(*(images / name for name in names))
    write_items(items, names, 0)
    settings = settings_of(folder / "lake")
    lake = open_storage(settings.lake)
    add_catalog(lake, "replay", str(images), str(items))
    record(settings, datas, 0)
    print(f"\n{count:,} pictures with recorded detections and features\n\n{HEADER}")
    print(row("full", index_catalog(settings, "replay")))
    print(row("unchanged", index_catalog(settings, "replay")))
    write_items(items, names, 1)
    print(row("prices alone", index_catalog(settings, "replay")))
    fresh = [f"new {number}".encode() for number in range(count // 100)]
    for number, data in enumerate(fresh):
        file = images / names[number * 97 % count]
        file.write_bytes(data)
        settle(file)
    record(settings, fresh, 10**9)
    print(row("1 % changed", index_catalog(settings, "replay")))
    sizes(lake.list("catalogs/replay"), count)
    began = time.perf_counter()
    opened = open_generation(settings, "replay")
    print(
        f"opened for reading in {time.perf_counter() - began:.2f} s: {len(opened.index):,} garments"
    )


def sizes(entries: list[Any], count: int) -> None:
    """Bytes per garment of one generation's parts."""
    totals: dict[str, int] = {}
    for entry in entries:
        parts = entry.path.split("/")
        kind = "/".join(parts[4:]) if parts[2] == "segments" else parts[2]
        totals[kind] = totals.get(kind, 0) + entry.size
    generations = {"metadata": 3, "images": 2, "items": 2}
    print("\n| file | bytes per garment |\n|---|---|")
    for kind, total in sorted(totals.items(), key=lambda pair: -pair[1]):
        if total / count >= 1:
            print(f"| {kind} | {total / count / generations.get(kind, 1):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--replay", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="100 pictures, 5,000 replayed")
    options = parser.parse_args()
    counts = (100, 5000) if options.quick else (options.images, options.replay)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        if counts[0]:
            real(folder / "real", counts[0])
        if counts[1]:
            replay(folder / "replay", counts[1])
    finally:
        shutil.rmtree(folder)
    for name, who in (
        ("this process", resource.RUSAGE_SELF),
        ("a worker", resource.RUSAGE_CHILDREN),
    ):
        print(f"peak memory of {name}: {resource.getrusage(who).ru_maxrss / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
