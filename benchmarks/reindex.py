"""What a night costs: `python benchmarks/reindex.py real|replay|mutants [--folder F]`.

`real`: a catalog of generated pictures (`clothret.synth`), segmented and described: a full run,
then nights in which nothing, prices alone, one picture, and 1 % of the pictures changed.
`replay`: a large catalog whose pictures are small files with detections and features recorded
beforehand and left as finished shards, so that everything but decoding and describing is measured:
items table, scan, comparison, segments, tables, checks, publishing. `mutants`: damaged and hostile
pictures.

With `--folder` pictures and lake are kept, and the full run may come in several calls
(`--nights 4 --upto 1`, then `--upto 2` …), each of a few minutes.
"""

import argparse
import contextlib
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from clothret.catalog import ReindexReport, add_catalog, index_catalog, open_generation, reindex
from clothret.catalog.detectors import detector_spec
from clothret.catalog.shards import shard_folder, write_shard
from clothret.catalog.work import Garment, Outcome
from clothret.features import DIMS
from clothret.imaging.masks import rle_encode
from clothret.lake.digests import digest_bytes
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import open_storage
from clothret.lake.upkeep import gc
from clothret.settings import Settings
from clothret.synth.catalog import plan_items, render_item
from tests.catalog.mutants import write_mutants

VARIANTS = 4
"""Pictures made of each rendered one: itself, mirrored, and both in other colors."""

SHARD = 5000


def pictures(count: int, seed: int, side: int = 320) -> Iterator[bytes]:
    """`count` different JPEGs of generated garments, `side` pixels on the longer side."""
    made = 0
    for item in plan_items(seed, count):
        for _, jpeg in render_item(item, side):
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            other = np.ascontiguousarray(image[..., ::-1])
            for variant in (image, cv2.flip(image, 1), other, cv2.flip(other, 1))[:VARIANTS]:
                if made == count:
                    return
                made += 1
                yield cv2.imencode(".jpg", variant, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def write_items(path: Path, names: list[str], night: int) -> None:
    """A table with the sample's columns; `night` moves the prices."""
    rows = [
        f"{name[:-4]},{name},shirt,Brand{number % 20},{5 + (number * 7 + night) % 90}.5,"
        f"{number % 3 > 0},2026-01-{1 + number % 28:02}"
        for number, name in enumerate(names)
    ]
    header = "item_id,image,label,brand,price,in_stock,listed"
    path.write_text("\n".join([header, *rows]) + "\n")


def settings_of(lake: Path, detector: str = "plain") -> Settings:
    return Settings.load(lake=str(lake), segment={"detector": detector})


def night(title: str, settings: Settings, name: str, **source: str) -> ReindexReport:
    """A run in a process of its own; its line of the table is printed."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        report, usage = pool.submit(measured, settings, name, source).result()
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report.stages.items())
    print(f"| {title} | {report.seconds:.2f} | {report.decoded} | {report.metadata_rows} ", end="")
    print(f"| {stages} | {usage[0]} / {usage[1]} |", flush=True)
    return report


def measured(
    settings: Settings, name: str, source: dict[str, str]
) -> tuple[ReindexReport, list[int]]:
    """A night, and the peak memory of this process and of its largest worker in MiB."""
    if name == "replay":
        logging.disable(logging.WARNING)  # the pictures are none: no sheet of samples
    run = index_catalog if name == "replay" else reindex
    report = run(settings, name, **source)
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return report, [resource.getrusage(one).ru_maxrss // 2**10 for one in who]


HEADER = (
    "| night | seconds | decoded | metadata rows | stages, s | peak MiB: run / worker |\n"
    "|---|---|---|---|---|---|"
)


def real(folder: Path, options: argparse.Namespace) -> None:
    """Generated pictures from end to end."""
    images, items, count = folder / "images", folder / "items.csv", options.images
    names = [f"{number:06}.jpg" for number in range(count)]
    if not images.exists():
        generate(images, names, options.side)
    settings = settings_of(folder / "lake", options.detector)
    if options.models:
        copy_model(options.models, settings.lake)
    print(f"\n{count:,} generated pictures of {options.side} px, ", end="")
    print(f"detector {options.detector}\n\n{HEADER}")
    seconds = full_run(folder, names, settings, options.nights, options.upto or options.nights)
    if options.upto and options.upto < options.nights:
        return
    night("unchanged", settings, "real")
    write_items(items, names, 1)
    night("prices alone", settings, "real")
    fresh = pictures(count // 100 + 1, 1, options.side)
    replace(images / names[1], next(fresh))
    one = night("one picture changed", settings, "real")
    for number in range(count // 100):
        replace(images / names[number * 97 % count], next(fresh))
    changed = night("1 % changed", settings, "real")
    share = (changed.seconds - one.seconds) / sum(seconds.values())
    print(
        f"\nfull: {sum(seconds.values()):.0f} s, {count / seconds['segment']:.1f} images/s ", end=""
    )
    print(f"segmented and described; fixed cost (a night with one changed picture) {one.seconds} s")
    print(
        f"1 % changed: {changed.decoded} decoded, {share:.1%} of the full run beyond the fixed cost"
    )
    sizes(settings.lake, "real")


def generate(images: Path, names: list[str], side: int) -> None:
    """Write the pictures, whole or not at all."""
    part = images.with_name("images.part")
    part.mkdir(parents=True)
    for name, data in zip(names, pictures(len(names), 0, side), strict=True):
        (part / name).write_bytes(data)
    settle(*part.iterdir())
    part.rename(images)


def replace(file: Path, data: bytes) -> None:
    """Another picture under the same name."""
    file.write_bytes(data)
    settle(file)


def copy_model(source: str, lake: str) -> None:
    """The current model of one lake into another."""
    target = ModelRegistry(open_storage(lake))
    if target.current() is None:
        target.promote(target.add(ModelRegistry(open_storage(source)).fetch("current")))


def full_run(
    folder: Path, names: list[str], settings: Settings, nights: int, upto: int
) -> dict[str, float]:
    """The first nights, each with more pictures; seconds by stage, those of earlier calls too."""
    items, log = folder / "items.csv", folder / "nights.json"
    reports: list[dict[str, Any]] = json.loads(log.read_text()) if log.exists() else []
    source = {"images": str(folder / "images"), "items": str(items)}
    for part in range(len(reports) + 1, upto + 1):
        write_items(items, names[: len(names) * part // nights], 0)
        report = night(f"full, part {part} of {nights}", settings, "real", **source)
        reports.append(report.stages)
        log.write_text(json.dumps(reports))
    totals: Counter[str] = Counter()
    for stages in reports:
        totals.update(stages)
    return dict(totals)


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


def recorded(folder: Path, settings: Settings, count: int) -> list[str]:
    """A registered catalog `replay` of small files with recorded results; the files' names."""
    images, items = folder / "images", folder / "items.csv"
    names = [f"{number // 1000:04}/{number:08}.jpg" for number in range(count)]
    for part in {name[:4] for name in names}:
        (images / part).mkdir(parents=True)
    datas = [f"picture {number}".encode() for number in range(count)]
    for name, data in zip(names, datas, strict=True):
        (images / name).write_bytes(data)
    settle(*(images / name for name in names))
    write_items(items, names, 0)
    add_catalog(open_storage(settings.lake), "replay", str(images), str(items))
    record(settings, datas, 0)
    return names


def replay(folder: Path, count: int) -> None:
    """Recorded results at scale."""
    images, items = folder / "images", folder / "items.csv"
    settings = settings_of(folder / "lake")
    names = recorded(folder, settings, count)
    print(f"\n{count:,} pictures with recorded detections and features\n\n{HEADER}")
    night("full", settings, "replay")
    night("unchanged", settings, "replay")
    write_items(items, names, 1)
    night("prices alone", settings, "replay")
    fresh = [f"new {number}".encode() for number in range(count // 100)]
    for number, data in enumerate(fresh):
        replace(images / names[number * 97 % count], data)
    record(settings, fresh, 10**9)
    night("1 % changed", settings, "replay")
    sizes(settings.lake, "replay")
    began = time.perf_counter()
    opened = open_generation(settings, "replay")
    print(
        f"opened for reading in {time.perf_counter() - began:.2f} s: {len(opened.index):,} garments"
    )


def sizes(url: str, catalog: str) -> None:
    """Bytes per garment of the current generation, by kind of file."""
    lake = open_storage(url)
    gc(lake, keep=1, grace=0)
    garments = len(open_generation(lake, catalog).index)
    totals: Counter[str] = Counter()
    for entry in lake.list(f"catalogs/{catalog}"):
        parts = entry.path.split("/")
        totals["/".join(parts[4:]) if parts[2] == "segments" else parts[2]] += entry.size
    print("\n| file | bytes per garment |\n|---|---|")
    for kind, total in totals.most_common():
        if total / garments >= 1:
            print(f"| {kind} | {total / garments:.0f} |")
    print(f"| all | {totals.total() / garments:.0f} |")


def mutants(folder: Path, count: int) -> None:
    """Bad pictures through a whole night."""
    names = write_mutants(folder / "images", count)
    rows = "".join(f'{number},"{name}"\n' for number, name in enumerate(names))
    (folder / "items.csv").write_text(f"item_id,image\n{rows}")
    source = {"images": str(folder / "images"), "items": str(folder / "items.csv")}
    settings = settings_of(folder / "lake")
    report = reindex(settings, "mutants", **source, force=True)
    counts = report.images
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(f"\n{len(names):,} damaged and hostile pictures in {report.seconds:.0f} s, ", end="")
    print(f"peak memory of the worker {peak:.0f} MiB\n")
    print("| outcome | rows |\n|---|---|")
    print(f"| in the index | {counts['added']} |")
    failures = open_generation(settings, "mutants").failures()
    listed = dict(zip(*(failures[name].to_pylist() for name in ("image", "failure")), strict=True))
    for reason, number in Counter(map(kind_of_failure, listed.items())).most_common():
        print(f"| {reason} | {number} |")
    lost = set(names) - set(listed)
    print(f"| neither indexed nor listed | {len(lost) - counts['added']} |")


def kind_of_failure(failure: tuple[str, str]) -> str:
    """A reason without what is particular to its picture."""
    name, reason = failure
    text = reason.removeprefix(f"{name}: ").partition(" starting with")[0].partition(", got")[0]
    return "failed: " + " ".join("N" if any(map(str.isdigit, w)) else w for w in text.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("real", "replay", "mutants"))
    parser.add_argument("--images", type=int, help="real 1,000, replay 100,000, mutants 1,500")
    parser.add_argument("--detector", choices=("plain", "model"), default="plain")
    parser.add_argument("--side", type=int, default=320, help="pixels of a generated picture")
    parser.add_argument("--models", help="lake whose current model is used")
    parser.add_argument("--folder", type=Path, help="where to work, and keep it; default: nowhere")
    parser.add_argument(
        "--nights", type=int, default=1, help="in how many parts the full run comes"
    )
    parser.add_argument("--upto", type=int, help="stop after so many parts")
    options = parser.parse_args()
    options.images = (
        options.images or {"real": 1000, "replay": 100_000, "mutants": 1500}[options.part]
    )
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if options.part == "real":
            real(folder, options)
        elif options.part == "replay":
            replay(folder, options.images)
        else:
            mutants(folder, options.images)


if __name__ == "__main__":
    main()
