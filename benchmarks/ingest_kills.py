"""Kill an ingest with SIGKILL at random moments and run it again: is the lake the same?

python benchmarks/ingest_kills.py --work /tmp/bench-kills --kills 50
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from ingest import PASSWORD, generate_zip

from clothret.data import ingest
from clothret.lake.storage import open_storage


def run(source: str, lake: str) -> None:
    """An ingest, in a process of its own."""
    ingest(source, open_storage(lake), password=PASSWORD, workers=1)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def state(lake: Path) -> str:
    """How far a killed run came, for the summary."""
    dataset = lake / "datasets/df2"
    if (dataset / "current").exists():
        return "published and current"
    if list(dataset.glob("d-*")):
        return "published, not yet current"
    staging = dataset / ".unfinished-ingest"
    if (staging / "version-folder/coco").exists():
        return "building tables"
    return "extracting" if staging.exists() else "checking sources"


def main() -> None:
    """Ingest once whole, then kill and repeat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="scratch folder")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="5 kills")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    work, kills = arguments.work, 5 if arguments.quick else arguments.kills
    source = work / "source"
    source.mkdir(parents=True)
    generate_zip(source / "train.zip", 300, seed=1)
    generate_zip(source / "validation.zip", 100, seed=2, split="validation")
    context = multiprocessing.get_context("fork")  # no seconds of imports before each kill
    began = time.monotonic()
    whole = context.Process(target=run, args=(str(source), str(work / "whole")))
    whole.start()
    whole.join()
    length = time.monotonic() - began
    expected = digests(work / "whole")
    moments, states, wrong = random.Random(arguments.seed), Counter[str](), 0
    while states.total() < kills:
        lake = work / "lake"
        began = time.monotonic()
        child = context.Process(target=run, args=(str(source), str(lake)))
        child.start()
        child.join(moments.uniform(0, length))
        if child.exitcode is None:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            states[state(lake)] += 1
        else:  # too late: the machine is faster than it was
            length = time.monotonic() - began
        run(str(source), str(lake))
        found = digests(lake)
        if found != expected:
            wrong += 1
            paths = sorted(path for path, _ in set(found.items()) ^ set(expected.items()))
            print(f"differs: {', '.join(dict.fromkeys(paths))}")
        shutil.rmtree(lake)
    print(f"{kills} kills at random moments of an ingest of 400 pictures: ", end="")
    print(f"{kills - wrong} lakes the same as without a kill, {wrong} different.\n")
    print("| killed while | times |\n|---|---|")
    for name, count in states.most_common():
        print(f"| {name} | {count} |")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
