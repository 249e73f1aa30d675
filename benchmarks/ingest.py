"""Ingest at DeepFashion2's size beside what people use today; prints a Markdown report.

Three measurements on generated data (real JPEG headers, polygons of 30 to 80 points, landmarks):
extraction of a ZipCrypto archive against Python's zipfile; extracted annotations to Parquet and
both COCO files against a `json.load` loop and the essence of torchvision's
`convert_to_coco_api`; a ready evaluator's arrays against unpickling the COCO object.

    python benchmarks/ingest.py --work /tmp/bench-ingest          # 191,961 images, some minutes
    python benchmarks/ingest.py --work /tmp/bench-ingest --quick  # 4,000 images
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import resource
import shutil
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import libarchive
import numpy as np
import orjson
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from clothret.data.archive import read_plan
from clothret.data.build import ExtractedSplit, build_tables
from clothret.data.extract import extract
from clothret.data.records import RawGarments, Rejections, read_record
from clothret.types import DF2_CATEGORIES, DF2_LANDMARKS
from clothret.types.arrow import read_annotations

TRAIN, VALIDATION = 191_961, 32_153
PASSWORD = "benchmark"
POOL = 512  # distinct garments and pictures; files repeat them in random combinations


# --- generated data ----------------------------------------------------------------------------


def picture_pool(rng: np.random.Generator, count: int) -> list[tuple[int, int, bytes]]:
    """(height, width, JPEG) of smooth pictures of DeepFashion2's usual sizes."""
    pool = []
    for _ in range(count):
        height, width = (int(side) for side in rng.integers(500, 900, 2))
        pixels = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        data = io.BytesIO()
        pixels.resize((width, height), Image.Resampling.BICUBIC).save(data, "JPEG", quality=60)
        pool.append((height, width, data.getvalue()))
    return pool


def garment(rng: np.random.Generator) -> dict[str, Any]:
    """An annotation within 500 × 500 pixels: one outline of 30 to 80 points, sometimes two."""
    category = int(rng.integers(1, 14))
    polygons = []
    for _ in range(1 + (rng.random() < 0.15)):
        points = int(rng.integers(30, 81))
        angle = np.sort(rng.random(points)) * 2 * np.pi
        radius = rng.uniform(60, 150) * (1 + 0.3 * np.sin(3 * angle) + 0.05 * rng.random(points))
        x = np.clip(250 + radius * np.cos(angle), 1, 499)
        y = np.clip(250 + 1.3 * radius * np.sin(angle), 1, 499)
        polygons.append(np.round(np.stack([x, y], 1).ravel(), 2).tolist())
    landmarks = np.round(rng.uniform(1, 499, (DF2_LANDMARKS[category - 1], 3)))
    landmarks[:, 2] = rng.integers(0, 3, len(landmarks))
    box = [
        int(bound)
        for bound in (*np.min(_pairs(polygons), axis=0), *np.max(_pairs(polygons), axis=0) + 1)
    ]
    levels = {name: int(rng.integers(1, 4)) for name in ("scale", "occlusion", "zoom_in")}
    return {
        "segmentation": polygons,
        **levels,
        "viewpoint": int(rng.integers(1, 4)),
        "landmarks": landmarks.ravel().tolist(),
        "style": int(rng.integers(0, 6)),
        "bounding_box": box,
        "category_id": category,
        "category_name": DF2_CATEGORIES[category - 1],
    }


def _pairs(polygons: list[list[float]]) -> np.ndarray:
    return np.concatenate([np.array(polygon).reshape(-1, 2) for polygon in polygons])


def generate_split(folder: Path, name: str, count: int, seed: int) -> ExtractedSplit:
    """Write a split's pictures and annotations, extracted: `<folder>/{image,annos}/<name>`."""
    images, annos = folder / "image" / name, folder / "annos" / name
    names = tuple(f"{number:06d}.jpg" for number in range(1, count + 1))
    if len(list(annos.glob("*.json"))) != count:
        images.mkdir(parents=True, exist_ok=True)
        annos.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2) as pool:
            halves = [(images, annos, names[part::2], seed + part) for part in range(2)]
            list(pool.map(_generate_files, *zip(*halves, strict=True)))
    return ExtractedSplit(name, images, annos, names)


def _generate_files(images: Path, annos: Path, names: Sequence[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = [data for _, _, data in picture_pool(rng, 64)]
    garments = [orjson.dumps(garment(rng)) for _ in range(POOL)]
    counts = rng.choice([1, 2, 3, 4], len(names), p=[0.5, 0.38, 0.1, 0.02])
    picks = rng.integers(0, POOL, (len(names), 4))
    for row, name in enumerate(names):
        items = b"".join(
            b',"item%d":%b' % (item + 1, garments[picks[row, item]]) for item in range(counts[row])
        )
        record = b'{"source":"user","pair_id":%d%b}' % (row, items)
        (annos / f"{name[:-4]}.json").write_bytes(record)
        (images / name).write_bytes(pictures[row % len(pictures)])


def generate_zip(path: Path, count: int, seed: int, split: str = "train") -> None:
    """A ZipCrypto archive: `count` times a picture of 45 kB and an annotation."""
    rng = np.random.default_rng(seed)
    head = picture_pool(rng, 1)[0][2]
    options = "encryption=zipcrypt"
    with libarchive.file_writer(str(path), "zip", options=options, passphrase=PASSWORD) as archive:
        for number in range(1, count + 1):
            data = head + rng.bytes(45_000 - len(head))
            record = orjson.dumps({"source": "shop", "pair_id": number, "item1": garment(rng)})
            for name, content in (
                (f"image/{number:06d}.jpg", data),
                (f"annos/{number:06d}.json", record),
            ):
                archive.add_file_from_memory(f"{split}/{name}", len(content), content)


# --- measuring ---------------------------------------------------------------------------------


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds of the clock, and of processors (children included), once the block ends."""
    taken: dict[str, float] = {}
    cpu, began = _processor_seconds(), time.perf_counter()
    yield taken
    taken["wall"] = time.perf_counter() - began
    taken["cpu"] = _processor_seconds() - cpu


def _processor_seconds() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def interleaved(runs: int, *actions: Callable[[], object]) -> list[dict[str, float]]:
    """Median wall and processor seconds of each action, run in turn `runs` times."""
    taken: list[list[dict[str, float]]] = [[] for _ in actions]
    for _ in range(runs):
        for action, times in zip(actions, taken, strict=True):
            with stopwatch() as seconds:
                action()
            times.append(seconds)
    return [
        {kind: statistics.median(item[kind] for item in times) for kind in ("wall", "cpu")}
        for times in taken
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


# --- the three measurements ----------------------------------------------------------------------


def measure_extraction(work: Path, pictures: int, sample: int, runs: int) -> None:
    """Megabytes a second of extracted files, ours (CRC checked, written) and zipfile's."""
    path = work / "train.zip"
    generate_zip(path, pictures, seed=3)
    plan = read_plan(path, "train")
    sampled = [item.name for item in (*plan.images[:sample], *plan.annotations[:sample])]
    sampled_bytes = sum(item.size for item in (*plan.images[:sample], *plan.annotations[:sample]))

    def ours(backend: str, threads: int) -> None:
        shutil.rmtree(work / "out", ignore_errors=True)
        extract(plan, PASSWORD, work / "out/i", work / "out/a", threads=threads, backend=backend)

    def python() -> None:
        shutil.rmtree(work / "out", ignore_errors=True)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(work / "out", sampled, pwd=PASSWORD.encode())

    ways: dict[str, tuple[int, Callable[[], object]]] = {
        f"Python's zipfile ({2 * sample} members)": (sampled_bytes, python),
        "clothret, libarchive, 2 threads": (plan.size, lambda: ours("libarchive", 2)),
        "clothret, libarchive, 1 thread": (plan.size, lambda: ours("libarchive", 1)),
    }
    if shutil.which("unzip"):
        ways["clothret, unzip"] = (plan.size, lambda: ours("unzip", 1))
    times = interleaved(runs, *(action for _, action in ways.values()))
    print(f"### Decryption and extraction: {2 * pictures:,} members, {plan.size / 1e6:,.0f} MB\n")
    per_megabyte = [
        {kind: value / size * 1e6 for kind, value in seconds.items()}
        for (size, _), seconds in zip(ways.values(), times, strict=True)
    ]
    rows = [
        (way, f"{1 / cost['wall']:.1f}", f"{1 / cost['cpu']:.1f}", _ratios(per_megabyte[0], cost))
        for way, cost in zip(ways, per_megabyte, strict=True)
    ]
    table(("way", "MB/s by the clock", "MB per processor second", "ratio (clock; processor)"), rows)
    shutil.rmtree(work / "out", ignore_errors=True)
    path.unlink()


def json_loop(split: ExtractedSplit, names: Sequence[str]) -> None:
    """The usual loop: open, `json.load`."""
    assert split.annotation_dir is not None
    for name in names:
        with open(split.annotation_dir / f"{name[:-4]}.json") as file:
            json.load(file)


def our_json(split: ExtractedSplit, names: Sequence[str]) -> None:
    """What ingest does in the place of that loop: to flat arrays of numbers."""
    assert split.annotation_dir is not None
    rejected, raw = Rejections(), RawGarments()
    for row, name in enumerate(names):
        record = read_record(split.annotation_dir / f"{name[:-4]}.json")
        raw.add_all(row, record, name, rejected)
    np.array(raw.points), np.array(raw.landmarks), np.array(raw.box)


def convert_to_coco(split: ExtractedSplit, names: Sequence[str]) -> dict[str, Any]:
    """The essence of torchvision's `convert_to_coco_api` over a usual DeepFashion2 dataset.

    Each picture is opened and made a tensor, each polygon list a full-size mask tensor; the
    converter then encodes the masks column-major and lists boxes and areas.
    """
    import torch
    from torchvision.transforms.functional import to_tensor

    assert split.annotation_dir is not None
    coco: dict[str, Any] = {"images": [], "categories": [], "annotations": []}
    for image_id, name in enumerate(names):
        image = to_tensor(Image.open(split.image_dir / name).convert("RGB"))
        height, width = image.shape[-2:]
        with open(split.annotation_dir / f"{name[:-4]}.json") as file:
            record = json.load(file)
        items = [record[key] for key in record if key.startswith("item")]
        masks = torch.stack([_mask_tensor(item["segmentation"], height, width) for item in items])
        boxes = torch.tensor([item["bounding_box"] for item in items], dtype=torch.float32)
        boxes[:, 2:] -= boxes[:, :2]
        areas = (boxes[:, 2] * boxes[:, 3]).tolist()
        masks = masks.permute(0, 2, 1).contiguous().permute(0, 2, 1)
        coco["images"].append({"id": image_id, "height": height, "width": width})
        for row, item in enumerate(items):
            coco["annotations"].append(
                {
                    "image_id": image_id,
                    "bbox": boxes[row].tolist(),
                    "category_id": item["category_id"],
                    "area": areas[row],
                    "iscrowd": 0,
                    "id": len(coco["annotations"]) + 1,
                    "segmentation": coco_mask.encode(masks[row].numpy()),
                }
            )
    return coco


def _mask_tensor(polygons: list[list[float]], height: int, width: int):  # type: ignore[no-untyped-def]
    import torch

    parts = coco_mask.frPyObjects(polygons, height, width)
    return torch.as_tensor(coco_mask.decode(parts).any(axis=2).astype(np.uint8))


def measure_tables(work: Path, train: int, sample: int, runs: int) -> None:
    """Extracted files → Parquet, Arrow and both COCO files."""
    split = generate_split(work, "train", train, seed=1)
    part = split.file_names[: min(32_153, train)]
    few = split.file_names[:sample]
    plain, ours = interleaved(runs, lambda: json_loop(split, part), lambda: our_json(split, part))
    convert_to_coco(split, few[:5])  # torch is imported and warm
    converter = interleaved(1, lambda: convert_to_coco(split, few))[0]
    shutil.rmtree(work / "tables", ignore_errors=True)
    with stopwatch() as seconds:
        counts = build_tables([split], work / "tables", work / "chunks")["train"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    shutil.rmtree(work / "chunks")
    scale = train / sample
    print(f"### Annotations: {counts.images:,} pictures, {counts.garments:,} garments\n")
    rows = [
        (f"`json.load` loop, {len(part):,} files", plain, ""),
        ("clothret: the same files to flat arrays", ours, _ratios(plain, ours)),
        (
            f"`convert_to_coco_api`'s essence, {sample:,} pictures × {scale:,.0f}",
            {kind: value * scale for kind, value in converter.items()},
            "",
        ),
        (
            "clothret: header sizes, checks, masks, areas → Arrow, Parquet, 2 COCO files",
            seconds,
            _ratios({kind: value * scale for kind, value in converter.items()}, seconds),
        ),
    ]
    table(
        ("work", "seconds by the clock", "processor seconds", "ratio (clock; processor)"),
        [(what, f"{t['wall']:.1f}", f"{t['cpu']:.1f}", ratio) for what, t, ratio in rows],
    )
    sizes = {p.name: p.stat().st_size / 1e6 for p in (work / "tables").rglob("*") if p.is_file()}
    print("Files: " + ", ".join(f"{name} {size:,.0f} MB" for name, size in sorted(sizes.items())))
    print(f"; largest worker {peak:.1f} GiB.\n")


def _ratios(slow: dict[str, float], fast: dict[str, float]) -> str:
    return f"{slow['wall'] / fast['wall']:.1f}×; {slow['cpu'] / fast['cpu']:.1f}×"


def measure_reload(work: Path, validation: int, runs: int) -> None:
    """From a file to what an evaluator needs in memory."""
    split = generate_split(work, "validation", validation, seed=2)
    tables = work / "tables-validation"
    shutil.rmtree(tables, ignore_errors=True)
    build_tables([split], tables, work / "chunks-validation")
    with contextlib.redirect_stdout(io.StringIO()):
        pickled = pickle.dumps(COCO(tables / "coco/validation.13.json"), protocol=5)
    (work / "coco.pickle").write_bytes(pickled)
    del pickled

    def unpickle() -> None:
        with open(work / "coco.pickle", "rb") as file:
            pickle.load(file)

    def mapped() -> None:
        read_annotations(tables / "annotations/validation.arrow")

    def ready() -> None:
        annotations = read_annotations(tables / "annotations/validation.arrow")
        for name in annotations.array_names():
            if name != "file_name":
                np.array(getattr(annotations, name))  # every page touched and copied
        size = np.repeat(
            np.stack([annotations.height, annotations.width], 1),
            np.diff(annotations.garment_offsets),
            axis=0,
        ).tolist()
        data = annotations.rle_bytes.tobytes()
        bounds = annotations.rle_offsets.tolist()
        [
            {"size": size[row], "counts": data[bounds[row] : bounds[row + 1]]}
            for row in range(len(size))
        ]

    slow, first, ours = interleaved(runs, unpickle, mapped, ready)
    print(f"### Ground truth of {validation:,} pictures in memory\n")
    rows = [
        ("unpickle pycocotools' COCO object (polygons; masks still to be encoded)", slow),
        ("clothret: memory-map, arrays usable", first),
        ("clothret: every array copied to memory, every mask an encoded RLE object", ours),
    ]
    table(
        ("work", "seconds", "ratio"),
        [(what, f"{t['wall']:.4f}", f"{slow['wall'] / t['wall']:.1f}×") for what, t in rows],
    )


def main() -> None:
    """Parse arguments, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="scratch folder, 6 GB at full size"
    )
    parser.add_argument("--quick", action="store_true", help="4,000 pictures")
    parser.add_argument("--keep", action="store_true", help="leave the generated files for a rerun")
    parser.add_argument("--only", choices=("extract", "tables", "reload"), action="append")
    parser.add_argument("--runs", type=int, default=3, help="of each interleaved way; the median")
    arguments = parser.parse_args()
    work, quick = arguments.work, arguments.quick
    work.mkdir(parents=True, exist_ok=True)
    chosen = arguments.only or ("extract", "tables", "reload")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start.\n")
    if "extract" in chosen:
        measure_extraction(work, 300 if quick else 4000, 20 if quick else 60, arguments.runs)
    if "tables" in chosen:
        measure_tables(work, 4000 if quick else TRAIN, 60 if quick else 400, arguments.runs)
    if "reload" in chosen:
        measure_reload(work, 2000 if quick else VALIDATION, arguments.runs)
    if not arguments.keep:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
