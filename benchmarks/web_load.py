"""Load on `clothret serve`: many clients, a reindex published in the middle.

    python benchmarks/web_load.py [--quick] [--garments 100000] [--clients 32] [--seconds 60]
    python benchmarks/web_load.py --lake LAKE --catalog C [--rows garment,picture,…]

With `--lake` a catalog that is there already is loaded, with its own pictures and its own
detector; give a copy of the lake, since reindexes are published into it. Without, the catalog is a
real generation: as many picture files as garments, scanned, written to shards, segments and an
index by `clothret.catalog.reindex`. Only the pictures' content is replayed: a few hundred
generated garments are segmented and described, and every file gets the vectors of one of them with
noise, in place of an hour of segmentation. Clients are threads of another process on the same
machine, so they share its cores with the service.
"""

import argparse
import csv
import http.client
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clothret.catalog import open_generation, reindex
from clothret.catalog.shards import ShardDone, write_shard
from clothret.catalog.specs import find_catalog
from clothret.catalog.work import Garment, Job, Outcome, Workbench, WorkItem
from clothret.features import DIMS
from clothret.lake import open_storage
from clothret.lake.digests import digest_bytes
from clothret.settings import Settings
from clothret.synth.catalog import plan_items, render_item

PICTURE_SIDE = 128
NOISE = 0.06
"""Standard deviation added to each coordinate of a unit vector, before it is scaled to 1."""

FILTERS = ("", "", "price < 40", "in_stock", "brand in ('Aster', 'Birch') and price < 80")
ROWS = {
    "garment": "by garment id",
    "garment-publish": "by garment id, a reindex published meanwhile",
    "picture": "with a picture: upload, detection, search",
    "picture-publish": "with a picture, a reindex published meanwhile",
    "detect": "detection alone: upload, garments, outlines",
}
CLOTHRET = [sys.executable, "-c", "from clothret.cli import main; main()"]


def main() -> None:
    """Build the catalog, serve it, load it, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--garments", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--quick", action="store_true", help="2,000 garments, 8 clients, 5 s")
    parser.add_argument("--lake", help="load a catalog of this lake instead of a built one")
    parser.add_argument("--catalog", default="shop")
    parser.add_argument(
        "--rows", default="garment,garment-publish,picture", help=f"of {', '.join(ROWS)}"
    )
    options = parser.parse_args()
    if options.quick:
        options.garments, options.clients, options.seconds = 2000, 8, 5.0
    rows = options.rows.split(",")
    if unknown := set(rows) - set(ROWS):
        parser.error(f"no rows {unknown}")
    with tempfile.TemporaryDirectory(prefix="clothret-load-") as scratch:
        if options.lake:
            target = existing(options.lake, options.catalog, Path(scratch))
        else:
            target = built(Path(scratch), options.garments)
        load(target, rows, options.clients, options.seconds)


@dataclass(frozen=True, slots=True)
class Target:
    """What is loaded: a catalog, pictures to search with, the items table that changes."""

    settings: Settings
    catalog: str
    pictures: list[bytes]
    items: Path


def built(folder: Path, garments: int) -> Target:
    """A catalog of that many garments, written by `reindex` with the vectors replayed."""
    began = time.perf_counter()
    source = folder / "source"
    bases = make_source(source, garments)
    settings = load_settings(folder)
    items = source / "items.csv"
    replay = Replay(bases, str(source))
    report = reindex(settings, "shop", images=str(source), items=str(items), executor=replay)
    print(f"built in {time.perf_counter() - began:.0f} s: {report.garments:,} garments\n")
    return Target(settings, "shop", bases, items)


def existing(lake: str, name: str, folder: Path) -> Target:
    """A catalog of a lake, with up to 200 of its own pictures; its table is copied to change."""
    settings = Settings.load(lake=lake)
    spec = find_catalog(open_storage(lake), name)
    generation = open_generation(settings, name)
    table = generation.index.table(np.arange(len(generation.index)), ["image_id"])
    names = sorted(set(table["image_id"].to_pylist()))
    pictures = [generation.image_bytes(image) for image in names[:: -(-len(names) // 200)]]
    items = folder / "items.csv"
    items.write_bytes(Path(spec.items).read_bytes())
    print(f"{len(table):,} garments, detector {generation.manifest['detector']}\n")
    return Target(settings, name, pictures, items)


def load(target: Target, names: list[str], clients: int, seconds: float) -> None:
    """The measurements that are asked for, each printed as it is there."""
    index = open_generation(target.settings, target.catalog).index
    ids = index.table(np.arange(0, len(index), max(1, len(index) // 5000)))["garment_id"]
    known = ids.to_pylist()
    draws = {
        "garment": by_garment(known),
        "picture": by_picture(target.pictures, "search"),
        "detect": by_picture(target.pictures, "detect"),
    }
    print_cold(target, known)
    print_heads()
    with Served(target.settings) as served:
        for name in names:
            kind, _, published = name.partition("-")
            meanwhile = (lambda: publish(target)) if published else None
            print_row(measure(ROWS[name], served, clients, seconds, draws[kind], meanwhile))


def load_settings(folder: Path) -> Settings:
    """Settings of the measured lake: pictures are segmented without a trained model."""
    return Settings.load(lake=str(folder / "lake"), segment={"detector": "plain", "workers": 1})


def make_source(folder: Path, count: int) -> list[bytes]:
    """Write `count` distinct picture files and their items table; the pictures they vary."""
    (folder / "image").mkdir(parents=True)
    items = plan_items(1, 60 if count <= 2000 else 200)
    bases = [data for item in items for _, data in render_item(item, PICTURE_SIDE)]
    lines = ["item_id,image,label,brand,price,in_stock,listed"]
    for number in range(count):
        facts = items[number % len(items)].facts
        # Bytes after a JPEG's end are ignored: each file differs, each picture is one of few.
        data = bases[number % len(bases)] + number.to_bytes(8, "big")
        (folder / "image" / f"{number:06d}.jpg").write_bytes(data)
        price = f"{float(facts['price']) + number % 17:.2f}"
        lines.append(
            f"item{number:06d},image/{number:06d}.jpg,{facts['label']},{facts['brand']},"
            f"{price},{facts['in_stock']},{facts['listed']}"
        )
    (folder / "items.csv").write_text("\n".join(lines) + "\n")
    return bases


class Replay:
    """Stands in for segmentation: each file gets the garment of its base picture, with noise."""

    def __init__(self, bases: list[bytes], source: str) -> None:
        self._bases = bases
        self._source = source

    def __call__(
        self, job: Job, folder: str, portions: list[list[WorkItem]]
    ) -> Iterator[ShardDone]:
        """Write the shards of all portions."""
        bench = Workbench(job)
        lake = open_storage(job.lake)
        known = [self._described(bench, number) for number in range(len(self._bases))]
        generator = np.random.default_rng(0)
        for portion in portions:
            bases = [known[int(Path(item.image).stem) % len(known)] for item in portion]
            outcomes = [vary(*pair, generator) for pair in zip(bases, portion, strict=True)]
            yield write_shard(lake, folder, outcomes, described=True)

    def _described(self, bench: Workbench, number: int) -> Outcome:
        data = self._bases[number] + number.to_bytes(8, "big")
        digest = digest_bytes(data)
        return bench.run(WorkItem(digest, f"image/{number:06d}.jpg", digest))


def vary(base: Outcome, item: WorkItem, generator: np.random.Generator) -> Outcome:
    """The first garment of `base` for another file, its vectors moved by noise."""
    if not base.garments:
        return replace(base, key=item.key, digest=item.digest)
    first: Garment = base.garments[0]
    assert first.vectors is not None
    moved = []
    for data, width in zip(first.vectors, DIMS.values(), strict=True):
        vector = np.frombuffer(data, np.float32) + generator.normal(0, NOISE, width)
        moved.append((vector / np.linalg.norm(vector)).astype(np.float32).tobytes())
    garment = replace(first, number=0, vectors=tuple(moved))
    return replace(base, key=item.key, digest=item.digest, garments=(garment,))


def publish(target: Target) -> None:
    """Change every price and reindex in a process of its own, as a nightly run would."""
    with target.items.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["price"] = f"{float(row['price']) + 0.5:.2f}"
    with target.items.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    command = [*CLOTHRET, "reindex", target.catalog, "--items", str(target.items), "--json"]
    done = subprocess.run(
        [*command, "--lake", target.settings.lake],
        env=os.environ | {"CLOTHRET_SEGMENT__DETECTOR": target.settings.segment.detector},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["published"]


class Served:
    """`clothret serve` in a process."""

    def __init__(self, settings: Settings) -> None:
        self.port = 18_000 + os.getpid() % 2000
        command = [*CLOTHRET, "serve", "--lake", settings.lake, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def __enter__(self) -> "Served":
        for _ in range(300):
            try:
                ask(http.client.HTTPConnection("127.0.0.1", self.port), "GET", "/api/v1/catalogs")
            except ConnectionRefusedError:
                time.sleep(0.1)
            else:
                return self
        raise RuntimeError("the service did not come up")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def megabytes(self) -> float:
        """Resident memory that is not shared with files."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024


Request = tuple[str, str, bytes, dict[str, str]]


def by_garment(known: list[str]) -> Callable[[random.Random], Request]:
    """Searches with garments, weights and filters drawn at random."""

    def draw(chance: random.Random) -> Request:
        weights = {name: round(chance.random(), 2) + 0.01 for name in DIMS}
        body = {"garment_id": chance.choice(known), "weights": weights, "k": 24}
        where = chance.choice(FILTERS)
        content = json.dumps(body | ({"where": where} if where else {})).encode()
        return "POST", "/api/v1/search", content, {"Content-Type": "application/json"}

    return draw


def by_picture(pictures: list[bytes], route: str) -> Callable[[random.Random], Request]:
    """Searches or detections with pictures that the service has not seen before."""

    def draw(chance: random.Random) -> Request:
        picture = chance.choice(pictures) + chance.randbytes(12)
        body = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n\r\n'
            + picture + b"\r\n--x--\r\n"
        )  # fmt: skip
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        return "POST", f"/api/v1/{route}", body, kind

    return draw


def measure(
    name: str,
    served: Served,
    clients: int,
    seconds: float,
    draw: Callable[[random.Random], Request],
    meanwhile: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Load for `seconds`, by clients in another process; longer if `meanwhile` takes longer."""
    before = served.megabytes()
    queue: multiprocessing.Queue[Any] = multiprocessing.Queue()
    enough = multiprocessing.Event()
    load = multiprocessing.get_context("fork").Process(
        target=clients_of, args=(served.port, clients, draw, queue, enough)
    )
    began = time.perf_counter()
    load.start()
    time.sleep(seconds / 4)
    if meanwhile:
        meanwhile()
    time.sleep(max(seconds / 4, began + seconds - time.perf_counter()))
    enough.set()
    milliseconds, faults, generations = queue.get()
    load.join()
    seconds = time.perf_counter() - began
    milliseconds.sort()
    at = lambda share: milliseconds[min(len(milliseconds) - 1, int(share * len(milliseconds)))]  # noqa: E731
    return {
        "name": name, "requests": len(milliseconds), "faults": faults,
        "seconds": seconds, "rate": len(milliseconds) / seconds,
        "p50": at(0.5), "p95": at(0.95), "p99": at(0.99),
        "before": before, "after": served.megabytes(), "generations": len(generations),
    }  # fmt: skip


def clients_of(
    port: int,
    clients: int,
    draw: Callable[[random.Random], Request],
    queue: "multiprocessing.Queue[Any]",
    enough: Any,
) -> None:
    """Until it is enough, `clients` threads, each with one connection and one request under way."""
    milliseconds: list[float] = []
    generations: set[str] = set()
    faults = [0]

    def client(seed: int) -> None:
        chance = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not enough.is_set():
            request = draw(chance)
            began = time.perf_counter()
            status, body = ask(connection, *request)
            milliseconds.append(1000 * (time.perf_counter() - began))
            faults[0] += status != 200
            generations.add(body[body.find(b'"generation":"') :][14:34].decode("latin-1"))

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put((milliseconds, faults[0], generations))


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, response.read()


def print_cold(target: Target, known: list[str]) -> None:
    """`clothret query --garment-id` from process start to its answer."""
    seconds = []
    for number in range(6):
        command = [*CLOTHRET, "query", "--garment-id", known[number], "--catalog", target.catalog]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--lake", target.settings.lake, "--json"], check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - began)
    print(
        "`clothret query --garment-id`, process start to answer: "
        f"median {statistics.median(seconds[1:]):.2f} s of 5 (first {seconds[0]:.2f} s)\n"
    )


def print_heads() -> None:
    """First two lines of the table."""
    times = ("p50 ms", "p95 ms", "p99 ms")
    heads = ("search", "seconds", "requests", "not 200", "per second", *times, "MB", "generations")
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|", flush=True)


def print_row(row: dict[str, Any]) -> None:
    """One measurement; `generations` is how many the clients had answers from."""
    print(
        f"| {row['name']} | {row['seconds']:.0f} | {row['requests']:,} | {row['faults']} "
        f"| {row['rate']:.0f} | {row['p50']:.0f} | {row['p95']:.0f} | {row['p99']:.0f} "
        f"| {row['before']:.0f} → {row['after']:.0f} | {row['generations']} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
