"""One writer at a time, whoever dies and whatever the clocks say."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clothret.errors import LeaseError
from clothret.lake import lease as lease_module
from clothret.lake.lease import hold_lease
from clothret.lake.storage import Storage, open_storage

HOLD = """
import sys, time
from clothret.lake.lease import hold_lease
from clothret.lake.storage import open_storage
with hold_lease(open_storage(sys.argv[1]), "lease", ttl=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(url: str, ttl: float) -> subprocess.Popen[bytes]:
    """Another process that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, url, str(ttl)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.stdout.close()
    return process


def test_tokens_rise_from_holder_to_holder(storage: Storage) -> None:
    tokens = []
    for _ in range(3):
        with hold_lease(storage, "lease") as lease:
            lease.check()
            tokens.append(lease.token)
    assert tokens == [1, 2, 3]


def test_a_second_writer_is_refused_and_told_who_holds_it(storage: Storage) -> None:
    held_by = pytest.raises(LeaseError, match=r"held by .*process \d+")
    with hold_lease(storage, "lease"), held_by, hold_lease(storage, "lease"):
        pass


def test_a_killed_holder_on_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    process = holder(str(tmp_path), ttl=3600)
    with pytest.raises(LeaseError), hold_lease(open_storage(tmp_path), "lease"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with hold_lease(open_storage(tmp_path), "lease") as lease:
        assert lease.token == 2


def test_a_silent_holder_elsewhere_is_replaced_after_its_time(storage: Storage) -> None:
    with hold_lease(storage, "lease", ttl=3600):
        pass
    record = json.loads(storage.read_bytes("lease"))
    gone = {**record, "held": True, "machine": "elsewhere", "ttl": 0.5}
    storage.write_bytes("lease", json.dumps(gone).encode())
    start = time.monotonic()
    with hold_lease(storage, "lease") as lease:
        assert lease.token == 2
    assert time.monotonic() - start > 0.5


def test_a_live_holder_elsewhere_is_seen_by_its_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = holder(str(tmp_path), ttl=1)
    monkeypatch.setattr(lease_module, "_machine", lambda: "elsewhere")
    with pytest.raises(LeaseError, match="held by"), hold_lease(open_storage(tmp_path), "lease"):
        pass
    process.kill()
    process.wait()


def test_a_holder_that_was_replaced_knows_it(storage: Storage) -> None:
    with hold_lease(storage, "lease", ttl=0.5) as lease:
        record = json.loads(storage.read_bytes("lease"))
        thief = {**record, "token": 99, "beat": "thief"}
        storage.write_bytes("lease", json.dumps(thief).encode())
        time.sleep(0.5)
        with pytest.raises(LeaseError, match="lost"):
            lease.check()
    assert json.loads(storage.read_bytes("lease"))["token"] == 99


def test_a_stopped_holder_knows_by_its_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold_lease(open_storage(tmp_path), "lease", ttl=30) as lease:
        now = lease_module._now()
        monkeypatch.setattr(lease_module, "_now", lambda: now + 21)
        with pytest.raises(LeaseError, match="not renewed for 21 s"):
            lease.check()


def test_wall_clock_jumps_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(tmp_path)
    with hold_lease(storage, "lease") as lease:
        for wrong in (0.0, 4e9):
            monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
            lease.check()
            with pytest.raises(LeaseError, match="held by"), hold_lease(storage, "lease"):
                pass


def test_a_holder_that_hangs_on_this_machine_is_replaced(tmp_path: Path) -> None:
    process = holder(str(tmp_path), ttl=0.6)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.8)
    with hold_lease(open_storage(tmp_path), "lease") as lease:
        assert lease.token == 2
    process.kill()
    process.wait()
