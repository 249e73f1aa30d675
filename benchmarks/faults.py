"""Fault campaign of the nightly reindex: `python benchmarks/faults.py`.

A catalog of tiny pictures lives through many nights. In each, runs are killed by SIGKILL (at
random moments, and before every single step that writes to the lake), while a reader opens the
current generation again and again and checks every byte of it. Then one run is left alone. It must
end with the digest of a lake in which nothing was ever killed, and after `gc` no file may be left
that the current generation does not list. Then other faults: two runs at once, a hung run, a full
disk, a misbehaving S3, wall clocks that jump.

In portions: `--only disk --kills 40 --first 80 --record FILE` does the 80th to 120th kill of the
plan for disks and adds what came of it to FILE; the table printed is that of the whole file.
"""

import argparse
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clothret.catalog import OpenGeneration, open_generation, reindex
from clothret.errors import ClothretError, NotFoundError
from clothret.lake.digests import wrong_files
from clothret.lake.generations import catalog_path
from clothret.lake.s3_client import S3Client
from clothret.lake.storage import open_storage
from clothret.lake.upkeep import gc, verify
from clothret.settings import Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.fault_proxy import FaultProxy

NAME = "shop"
SIDE = 48  # pixels of a picture
STEPS = ("replace", "rename", "fsync", "unlink")
DISK_STEPS, S3_STEPS = 90, 40
"""Steps of one night at which a run is killed: calls of `STEPS`, requests to S3."""

PER_NIGHT = 6
"""Killed runs before one is left alone."""

FAULTY_NIGHTS = 8
"""Nights on an S3 that misbehaves."""


@dataclass
class Shop:
    """Pictures and items on disk, changed a little every night."""

    folder: Path
    prices: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "images").mkdir(parents=True)
        for number in range(6):
            self.put(f"{number:04}.png", number)
        self.save()

    def put(self, name: str, seed: int) -> None:
        """A product of its own color and form on white."""
        generator = np.random.default_rng(seed)
        image = np.full((SIDE, SIDE, 3), 250, np.uint8)
        color = tuple(int(v) for v in generator.integers(0, 160, 3))
        axes = tuple(int(v) for v in generator.integers(9, 20, 2))
        cv2.ellipse(image, (SIDE // 2, SIDE // 2), axes, 0, 0, 360, color, -1)
        (self.folder / "images" / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
        self.prices[name] = float(seed)

    def save(self) -> None:
        """Write the items table."""
        rows = [f"{name[:4]},{name},{price}" for name, price in self.prices.items()]
        (self.folder / "items.csv").write_text("\n".join(["item_id,image,price", *rows]) + "\n")

    def next_day(self, day: int) -> None:
        """One picture new, one changed, one renamed, one price new, some days one broken."""
        names = sorted(self.prices)
        self.put(f"{1000 + day:04}.png", 1000 + day)
        self.put(names[day % len(names)], 5000 + day)
        renamed = names[(day + 1) % len(names)]
        (self.folder / "images" / renamed).rename(self.folder / "images" / f"{2000 + day}.png")
        self.prices[f"{2000 + day}.png"] = self.prices.pop(renamed)
        if len(self.prices) > 9:
            gone = sorted(self.prices)[0]
            del self.prices[gone]
            (self.folder / "images" / gone).unlink()
        if day % 3 == 0:
            (self.folder / "images" / f"{1000 + day:04}.png").write_bytes(b"broken")
        self.save()


@dataclass
class Campaign:
    """What was done and what was seen."""

    kills: Counter[str] = field(default_factory=Counter)
    escaped: int = 0
    nights: int = 0
    faults: list[str] = field(default_factory=list)
    reads: int = 0
    others: dict[str, str] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    minutes: float = 0.0

    def add(self, other: "Campaign") -> None:
        """Count another portion too."""
        self.kills += other.kills
        self.escaped += other.escaped
        self.nights += other.nights
        self.faults += other.faults
        self.reads += other.reads
        self.places |= other.places
        self.minutes += other.minutes
        for name, outcome in other.others.items():
            if self.others.get(name, "ok").startswith("ok"):
                self.others[name] = outcome

    def to_json(self) -> str:
        """One line of a record."""
        return json.dumps({**vars(self), "places": sorted(self.places)})

    @classmethod
    def from_json(cls, line: str) -> "Campaign":
        """A line of a record."""
        values = json.loads(line)
        values["kills"], values["places"] = Counter(values["kills"]), set(values["places"])
        return cls(**values)

    def expect(self, truth: bool, what: str) -> None:
        """Note a fault of the library."""
        if not truth:
            self.faults.append(what)
            print(f"FAULT: {what}", file=sys.stderr, flush=True)


def settings_of(lake: str) -> Settings:
    """The plain detector, one worker, shards of two pictures."""
    segment = {"detector": "plain", "workers": 1, "shard_images": 2}
    guard = {"max_loss_rate": 1.0, "max_garment_drop": 1.0}
    return Settings.load(lake=lake, segment=segment, guard=guard, lease_seconds=3.0)


def run_night(lake: str, shop: Shop) -> dict[str, Any]:
    """One run in this process."""
    images, items = shop.folder / "images", shop.folder / "items.csv"
    report = reindex(settings_of(lake), NAME, images=str(images), items=str(items))
    return report.to_dict()


def start(work: Callable[[], Any], prepare: Callable[[], None] | None = None) -> tuple[int, int]:
    """Fork a process that does `work`; its id, and a descriptor with its result as JSON."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.close(reading)
    os.setsid()
    status = 1
    try:
        if prepare:
            prepare()
        result = {"ok": work()}
        status = 0
    except ClothretError as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    except BaseException as error:  # noqa: BLE001 (a crash is a result too)
        result = {"crash": f"{type(error).__name__}: {error}"}
    os.write(writing, json.dumps(result, default=str).encode()[:60_000])
    os._exit(status)


def finish(process: int, reading: int) -> dict[str, Any]:
    """Wait; what the process wrote, or {"killed": signal}."""
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status < 0:
        return {"killed": -status}
    return json.loads(data)


def in_child(work: Callable[[], Any], prepare: Callable[[], None] | None = None) -> dict[str, Any]:
    """`work` in a process of its own: the campaign itself starts no thread and forks freely."""
    return finish(*start(work, prepare))


def die_at_step(number: int) -> Callable[[], None]:
    """In the child: SIGKILL before the `number`-th call that writes to a disk (from 1)."""

    def prepare() -> None:
        count = 0

        def killing(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)

            return call

        for name in STEPS:
            setattr(os, name, killing(getattr(os, name)))

    return prepare


def die_at_call(number: int, after: bool) -> Callable[[], None]:
    """In the child: SIGKILL before or after the `number`-th request to S3 (from 1)."""

    def prepare() -> None:
        count = 0
        function = S3Client.call

        def call(self: S3Client, path: str, operation: Callable[[Any], Any]) -> Any:
            nonlocal count
            count += 1
            mine = count == number
            if mine and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(self, path, operation)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        S3Client.call = call  # type: ignore[method-assign]

    return prepare


def killed_after(seconds: float, lake: str, shop: Shop) -> dict[str, Any]:
    """A run killed from outside after so long."""
    process, reading = start(lambda: run_night(lake, shop))
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return finish(process, reading)


def read_all_the_while(lake: str, result: Path) -> None:
    """The reader: opens the current generation, checks every byte, searches, until SIGTERM."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    seen: Counter[str] = Counter()
    faults = []
    storage = open_storage(lake)
    while not stop:
        try:
            opened = open_generation(storage, NAME)
            generation = opened._generation
            faults += wrong_files(storage, generation.files())
            faults += _look_into(opened)
            seen[opened.id] += 1
        except NotFoundError as error:
            if "no generation yet" not in str(error) and "no catalog" not in str(error):
                faults.append(repr(error))
        except Exception as error:  # noqa: BLE001 (whatever a reader sees is the finding)
            faults.append(repr(error))
        time.sleep(0.1)
    result.write_text(json.dumps({"seen": seen, "faults": faults}))


def _look_into(opened: OpenGeneration) -> list[str]:
    """Search for the first garment of the index; what is wrong with the answer."""
    counted = opened.manifest["counts"]["garments"]
    if len(opened.index) != counted:
        return [
            f"{opened.id}: {len(opened.index)} garments in the index, {counted} in the manifest"
        ]
    ids = opened.index.metadata.columns(["garment_id"])["garment_id"].to_pylist()
    rows = [row for row, name in enumerate(ids) if name is not None]
    if not rows:
        return []
    hits = opened.index.search(*opened.index.vectors(rows[0]), k=1)
    facts = opened.garment(int(hits.rows[0]))
    whole = facts["garment_id"] and facts["rle"] and hits.scores[0] > 2.99
    return [] if whole else [f"{opened.id}: hit {hits.rows[0]} is no whole garment: {facts}"]


@contextmanager
def reader(lake: str, scratch: Path, campaign: Campaign) -> Iterator[None]:
    """A reader beside the block."""
    result = scratch / "reader.json"
    process, reading = start(lambda: read_all_the_while(lake, result))
    try:
        yield
    finally:
        os.kill(process, signal.SIGTERM)
        finish(process, reading)
    found = json.loads(result.read_text())
    campaign.reads += sum(found["seen"].values())
    for fault in found["faults"][:20]:
        campaign.expect(False, f"reader: {fault}")
    campaign.expect(bool(found["seen"]), "the reader never saw a generation")


def orphans(lake: str) -> list[str]:
    """Files of the catalog that nothing lists, after a collection that keeps one generation."""
    storage = open_storage(lake)
    report = gc(storage, keep=1, grace=0)
    kept = {catalog_path(NAME, n) for n in ("catalog.json", "current", "lease", "scan.parquet")}
    for name in report.kept[NAME]:
        kept.add(catalog_path(NAME, "generations", f"{name}.json"))
        kept |= open_generation(storage, NAME, name)._generation.files().keys()
    found = [entry.path for entry in storage.list(catalog_path(NAME))]
    folders = ("reports", "pins")
    return [
        path for path in found if path not in kept and path.split("/")[2] not in folders
    ] + storage.delete_unfinished(catalog_path(NAME), older_than=-1, but=catalog_path(NAME, "pins"))


def survive(
    lake: str, kills: Iterator[tuple[str, Any]], target: int, scratch: Path, campaign: Campaign
) -> None:
    """Nights with killed runs, beside a lake where nothing is killed, until `target` kills."""
    shop = Shop(scratch / "shop")
    calm = str(scratch / "calm")
    seconds, killed = 1.0, 0
    with reader(lake, scratch, campaign):
        for day in itertools.count():
            for kind, detail in itertools.islice(kills, min(PER_NIGHT, target - killed)):
                result = _kill(kind, detail, lake, shop, seconds)
                campaign.expect("crash" not in result, f"{kind} {detail}: {result}")
                if "killed" not in result:  # it was over first: a new night for the next
                    campaign.escaped += 1
                    break
                campaign.kills[kind] += 1
                if kind != "moment":
                    campaign.places.add(f"{kind} {detail}")
                killed += 1
            after = in_child(lambda: run_night(lake, shop))
            quiet = in_child(lambda: run_night(calm, shop))
            campaign.nights += 1
            seconds = quiet.get("ok", {}).get("seconds", seconds)
            same = after.get("ok", {}).get("digest") == quiet.get("ok", {}).get("digest")
            campaign.expect(same, f"night {day}: {after} instead of {quiet}")
            left = in_child(lambda: orphans(lake))
            campaign.expect(left.get("ok") == [], f"night {day}: left after gc: {left}")
            if killed >= target:
                break
            shop.next_day(day)
    wrong = in_child(lambda: verify(open_storage(lake)))
    campaign.expect(wrong.get("ok") == [], f"verify: {wrong}")


def _kill(kind: str, detail: Any, lake: str, shop: Shop, seconds: float) -> dict[str, Any]:
    """One run that is to be killed; `seconds`: what an undisturbed run takes."""
    if kind == "moment":
        return killed_after(detail * seconds, lake, shop)
    prepare = die_at_step(detail) if kind == "disk step" else die_at_call(*detail)
    return in_child(lambda: run_night(lake, shop), prepare)


def disk_kills(seed: int) -> Iterator[tuple[str, Any]]:
    """Before each step in turn, and as often at random moments of a run."""
    generator = random.Random(seed)
    steps = list(range(1, DISK_STEPS + 1))
    while True:
        generator.shuffle(steps)
        for step in steps:
            yield "disk step", step
            yield "moment", generator.random()


def s3_kills(seed: int) -> Iterator[tuple[str, Any]]:
    """Before and after each request in turn; every fourth at a random moment."""
    generator = random.Random(seed)
    calls = [(step, after) for step in range(1, S3_STEPS + 1) for after in (False, True)]
    while True:
        generator.shuffle(calls)
        for number, call in enumerate(calls):
            yield "S3 request", call
            if number % 3 == 0:
                yield "moment", generator.random()


def survive_prefect(count: int, seed: int, scratch: Path, campaign: Campaign) -> None:
    """`clothret reindex`, the whole flow with its temporary server, killed `count` times."""
    shop, lake, calm = Shop(scratch / "shop"), str(scratch / "lake"), str(scratch / "calm")
    environment = os.environ | {
        "CLOTHRET_LAKE": lake,
        "CLOTHRET_SEGMENT__WORKERS": "1",
        "CLOTHRET_SEGMENT__SHARD_IMAGES": "2",
        "CLOTHRET_GUARD__MAX_LOSS_RATE": "1",
        "CLOTHRET_GUARD__MAX_GARMENT_DROP": "1",
        "PREFECT_HOME": str(scratch / "prefect"),
    }
    images, items = str(shop.folder / "images"), str(shop.folder / "items.csv")
    tool = Path(sys.executable).with_name("clothret")
    command = [str(tool), "reindex", NAME, "--images", images, "--items", items]
    command += ["--detector", "plain", "--json"]

    def flow() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=scratch,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    began = time.monotonic()
    report, _ = flow().communicate()
    seconds, generator = time.monotonic() - began, random.Random(seed)
    campaign.expect(bool(report), "Prefect: the first run failed")
    in_child(lambda: run_night(calm, shop))
    with reader(lake, scratch, campaign):
        killed = 0
        for day in itertools.count():
            if killed >= count:
                break
            shop.next_day(day)
            for _ in range(4):
                process = flow()
                time.sleep(seconds * generator.uniform(0.4, 1.0))
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                if process.returncode >= 0:  # it was over first
                    campaign.escaped += 1
                    break
                killed += 1
                campaign.kills["flow under Prefect"] += 1
            began = time.monotonic()
            report, _ = flow().communicate()
            seconds = time.monotonic() - began  # the very first one migrates a database
            quiet = in_child(lambda: run_night(calm, shop))
            campaign.nights += 1
            same = bool(report) and json.loads(report)["digest"] == quiet["ok"]["digest"]
            campaign.expect(same, f"Prefect, night {day}: {report!r} instead of {quiet}")
            left = in_child(lambda: orphans(lake))
            campaign.expect(left.get("ok") == [], f"Prefect, night {day}: left after gc: {left}")


def two_at_once(lake: str, shop: Shop) -> str:
    """Two runs start together: one publishes or both in turn, none spoils the other."""
    runs = [start(lambda: run_night(lake, shop)) for _ in range(2)]
    results = [finish(*run) for run in runs]
    done = [result["ok"]["digest"] for result in results if "ok" in result]
    refused = [r for r in results if "error" in r and r["error"].startswith("LeaseError")]
    good = len(done) + len(refused) == 2 and done
    return "ok" if good else f"FAULT: {results}"


def hung_run(lake: str, shop: Shop) -> str:
    """A run is stopped, replaced after its lease, and continued: it must not publish."""
    process, reading = start(lambda: run_night(lake, shop))
    while not open_storage(lake).list(catalog_path(NAME, "work")):
        time.sleep(0.02)
    os.kill(process, signal.SIGSTOP)
    time.sleep(3.5)
    second = in_child(lambda: run_night(lake, shop))
    os.kill(process, signal.SIGCONT)
    first = finish(process, reading)
    stale = first.get("error", "").startswith("LeaseError")
    return "ok" if stale and "ok" in second else f"FAULT: first {first}, second {second}"


def full_disk(lake: str, shop: Shop) -> str:
    """Files may not grow past some bytes: the run fails cleanly, the old generation serves."""
    outcomes: Counter[str] = Counter()
    for limit in (0, 60, 200, 700, 2000, 4000, 8000, 15_000):

        def prepare(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        result = in_child(lambda: run_night(lake, shop), prepare)
        outcomes[next(iter(result))] += 1
        if "crash" in result:
            return f"FAULT: at {limit} bytes {result}"
    if verify(open_storage(lake)):
        return f"FAULT: {verify(open_storage(lake))}"
    return f"ok ({dict(outcomes)})"


def jumping_clock(lake: str, shop: Shop) -> str:
    """The wall clock of a run is decades off, back and forth."""

    def prepare() -> None:
        times = random.Random(0)
        time.time = lambda: times.choice([0.0, 1e9, 4e9])  # type: ignore[assignment]

    result = in_child(lambda: run_night(lake, shop), prepare)
    return "ok" if "ok" in result else f"FAULT: {result}"


def faulty_s3(endpoint: str, shop: Shop, expected: str) -> dict[str, str]:
    """First nights through a proxy: one request in four goes wrong; then expired credentials."""
    results = {}
    proxy = FaultProxy(endpoint, rate=1 / 4, seed=1)

    def prepare() -> None:
        os.environ["AWS_ENDPOINT_URL"] = proxy.url

    wrong = []
    for number in range(FAULTY_NIGHTS):
        result = in_child(partial(run_night, f"s3://lake/faulty{number}", shop), prepare)
        if result.get("ok", {}).get("digest") != expected:
            wrong.append(result)
    counts = ", ".join(f"{n} {name}" for name, n in proxy.injected.items())
    results[f"{FAULTY_NIGHTS} nights on S3 with a fault in one request of four"] = (
        f"FAULT: {wrong}" if wrong else f"ok ({counts})"
    )
    proxy.expired = True
    began = time.monotonic()
    result = in_child(lambda: run_night("s3://lake/faulty0", shop), prepare)
    quick = time.monotonic() - began < 20
    clear = "StorageError" in result.get("error", "") and "Expired" in result.get("error", "")
    results["S3 credentials expired"] = "ok" if clear and quick else f"FAULT: {result}"
    proxy.close()
    return results


def other_faults(scratch: Path, endpoint: str, campaign: Campaign) -> None:
    """Everything but kills, with the lake on disk and on S3."""
    _scenarios(str(scratch / "others"), "disk", scratch, campaign)
    shop = _scenarios("s3://lake/others", "S3", scratch, campaign)
    calm = in_child(lambda: run_night(str(scratch / "calm-others"), shop))
    campaign.others |= faulty_s3(endpoint, shop, calm["ok"]["digest"])
    for name, outcome in campaign.others.items():
        campaign.expect(outcome.startswith("ok"), f"{name}: {outcome}")


def _scenarios(lake: str, place: str, scratch: Path, campaign: Campaign) -> Shop:
    """Each scenario, a night after it, and a collection; the shop as it is then."""
    shop = Shop(scratch / f"shop-others-{place}")
    with reader(lake, scratch, campaign):
        for day, scenario in enumerate((two_at_once, hung_run, full_disk, jumping_clock)):
            name = f"{scenario.__name__.replace('_', ' ')}, lake on {place}"
            campaign.others[name] = scenario(lake, shop)
            settled = in_child(lambda: run_night(lake, shop))
            fresh = in_child(lambda: run_night(lake, shop))
            still = "ok" in settled and "ok" in fresh and not fresh["ok"]["published"]
            campaign.expect(still, f"after {name}: {settled}, then {fresh}")
            left = in_child(lambda: orphans(lake))
            campaign.expect(left.get("ok") == [], f"after {name}: {left}")
            shop.next_day(day)
    return shop


@contextmanager
def s3_server(scratch: Path) -> Iterator[str]:
    """A moto server in a process of its own, with the bucket `lake`."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "CLOTHRET_CACHE": str(scratch / "cache"),
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        made = in_child(_make_bucket)
        if "ok" not in made:
            raise RuntimeError(f"no S3 server: {made}")
        yield os.environ["AWS_ENDPOINT_URL"]
    finally:
        server.terminate()
        server.wait()


def _make_bucket() -> None:
    from clothret.lake.s3_client import _new_client

    _new_client(10.0).create_bucket(Bucket="lake")


PARTS = ("disk", "S3", "prefect", "others")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=360, help="SIGKILLs, a third of them on S3")
    parser.add_argument("--prefect", type=int, default=20, help="kills of the whole flow; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS, help="one part; --kills are all there")
    parser.add_argument("--first", type=int, default=0, help="where in the plan of kills to begin")
    parser.add_argument("--record", type=Path, help="file that portions are added up in")
    parser.add_argument("--quick", action="store_true", help="9 kills, none of Prefect")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.prefect = 9, 0
    campaign = Campaign()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as endpoint:
        run_parts(options, Path(folder), endpoint, campaign)
    campaign.minutes = (time.monotonic() - began) / 60
    total = campaign
    if options.record:
        with options.record.open("a") as file:
            file.write(campaign.to_json() + "\n")
        total = Campaign()
        for line in options.record.read_text().splitlines():
            total.add(Campaign.from_json(line))
    print_report(total)
    return 1 if campaign.faults else 0


def run_parts(
    options: argparse.Namespace, scratch: Path, endpoint: str, campaign: Campaign
) -> None:
    """The parts that are asked for, one after the other."""
    parts = (options.only,) if options.only else PARTS
    on_s3 = options.kills if options.only else options.kills // 3
    for place, lake, plan, target in (
        ("disk", str(scratch / "lake"), disk_kills, options.kills - (0 if options.only else on_s3)),
        ("S3", "s3://lake/night", s3_kills, on_s3),
    ):
        if place in parts:
            (scratch / place).mkdir()
            kills = itertools.islice(plan(options.seed), options.first, None)
            survive(lake, kills, target, scratch / place, campaign)
    if "prefect" in parts and options.prefect:
        (scratch / "prefect").mkdir()
        survive_prefect(options.prefect, options.seed, scratch / "prefect", campaign)
    if "others" in parts:
        other_faults(scratch, endpoint, campaign)


def print_report(campaign: Campaign) -> None:
    """A Markdown table."""
    print("| what | outcome |\n|---|---|")
    for kind, count in sorted(campaign.kills.items()):
        print(f"| runs killed: {kind} | {count} |")
    for kind in ("disk step", "S3 request"):
        places = [place for place in campaign.places if place.startswith(kind)]
        if places:
            print(f"| different places, {kind} | {len(places)} |")
    print(f"| runs that were over before they could be killed | {campaign.escaped} |")
    print(f"| nights, each ending with the digest of an undisturbed lake | {campaign.nights} |")
    print(f"| generations opened and checked byte by byte meanwhile | {campaign.reads} |")
    for name, outcome in campaign.others.items():
        print(f"| {name} | {outcome} |")
    print(f"| faults of the library | {len(campaign.faults)} |")
    print(f"| minutes | {campaign.minutes:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
