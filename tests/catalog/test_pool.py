"""Workers die and hang; the pictures that did it are named, the others get done."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clothret.catalog.detectors import DetectorSpec
from clothret.catalog.pool import WorkerPool
from clothret.catalog.work import Job, Outcome, WorkItem
from clothret.errors import StorageError
from clothret.lake.digests import digest_file
from clothret.settings import ImageSettings
from tests.catalog.shops import write_picture

PLAIN = DetectorSpec("plain", "binary", None, None, "auto", 0.0, 20, 1024)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(str(tmp_path / "lake"), str(tmp_path), PLAIN, ImageSettings(), seconds=5.0)


def items(folder: Path, count: int) -> list[WorkItem]:
    for number in range(count):
        write_picture(folder / f"{number}.png", number)
    files = [folder / f"{number}.png" for number in range(count)]
    return [WorkItem(f.name, f.name, digest_file(f).sha256) for f in files]


def blocking(folder: Path) -> WorkItem:
    """A picture whose reading never ends: a pipe that nobody writes to."""
    os.mkfifo(folder / "stuck.png")
    return WorkItem("stuck.png", "stuck.png", "0" * 64)


def run(job: Job, work: list[WorkItem], workers: int) -> dict[str, Outcome]:
    with WorkerPool(job, workers) as pool:
        return {outcome.key: outcome for outcome in pool.run(work)}


def test_every_picture_comes_out_once(job: Job, tmp_path: Path) -> None:
    work = items(tmp_path, 8)
    outcomes = run(job, work, 2)
    assert sorted(outcomes) == sorted(item.key for item in work)
    assert all(o.failure is None and o.decoded and len(o.garments) == 1 for o in outcomes.values())
    assert all(len(o.garments[0].vectors or ()) == 3 for o in outcomes.values())


def test_a_picture_that_hangs_fails_at_its_deadline(job: Job, tmp_path: Path) -> None:
    work = items(tmp_path, 5)
    outcomes = run(job, [*work[:2], blocking(tmp_path), *work[2:]], 1)
    assert len(outcomes) == 6
    assert outcomes["stuck.png"].failure == "stuck.png: took longer than 5 s"
    assert [key for key, outcome in outcomes.items() if outcome.failure] == ["stuck.png"]


def test_a_picture_that_kills_its_worker_is_given_up(job: Job, tmp_path: Path) -> None:
    work = [blocking(tmp_path), *items(tmp_path, 4)]
    patient = Job(job.lake, job.images, job.detector, job.limits, seconds=60)
    done = threading.Event()

    def kill_whoever_reads() -> None:
        while not done.wait(0.05):
            for process in _workers():
                if any("stuck.png" in link for link in _open_files(process)):
                    os.kill(process, signal.SIGKILL)

    # Opening a pipe blocks before it shows among the open files: hold it open from here.
    handle = os.open(tmp_path / "stuck.png", os.O_RDWR)
    killer = threading.Thread(target=kill_whoever_reads)
    killer.start()
    outcomes = run(patient, work, 1)
    done.set()
    killer.join()
    os.close(handle)
    reason = outcomes["stuck.png"].failure
    assert reason == "stuck.png: took its worker down 2 times (was killed by SIGKILL)"
    assert sum(outcome.failure is None for outcome in outcomes.values()) == 4


def test_bytes_that_changed_since_the_scan_are_a_failure(job: Job, tmp_path: Path) -> None:
    (item,) = items(tmp_path, 1)
    write_picture(tmp_path / "0.png", 99)
    failure = run(job, [item], 1)["0.png"].failure
    assert failure == "0.png: changed while the catalog was read"


def test_workers_that_cannot_start_are_an_error(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clothret.catalog.pool.sys.executable", "/bin/false")
    with pytest.raises(StorageError, match="workers do not start: exited with status 1"):
        run(job, items(tmp_path, 1), 1)


def test_workers_go_with_their_parent(job: Job, tmp_path: Path) -> None:
    code = (
        "import pickle,sys,time\n"
        "from clothret.catalog.pool import WorkerPool\n"
        "pool = WorkerPool(pickle.loads(bytes.fromhex(sys.argv[1])), 1)\n"
        "print(pool._start().process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, pickle.dumps(job).hex()], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.stdout.close()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and _state(worker) != "Z":
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _workers() -> list[int]:
    """Worker processes of this process."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(process) for process in children.split()]


def _open_files(process: int) -> list[str]:
    try:
        return [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return []


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
