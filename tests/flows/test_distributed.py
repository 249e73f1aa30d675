"""A reindex over Ray ends where one on this machine does."""

import subprocess
import sys
from pathlib import Path

import pytest

from clothret.errors import SettingsError
from clothret.settings import Settings
from flows.distributed import GPU_SHARE, ray_executor, resources

ROOT = Path(__file__).resolve().parents[2]


def test_a_gpu_is_asked_for_where_there_is_one_and_a_model_to_use_it() -> None:
    with_gpu = {"CPU": 16.0, "GPU": 1.0}
    assert resources("model", with_gpu) == {"num_cpus": 1, "num_gpus": GPU_SHARE}
    assert resources("plain", with_gpu) == {"num_cpus": 1}
    assert resources("model", {"CPU": 16.0}) == {"num_cpus": 1}


def test_without_an_address_nothing_is_distributed() -> None:
    assert ray_executor(Settings.load()) is None


def test_an_address_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(SettingsError, match=r"clothret\[ray\]"):
        ray_executor(Settings.load(ray_address="127.0.0.1:6379"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_machines_of_a_cluster_give_the_digest_of_one() -> None:
    pytest.importorskip("prefect_ray", reason="the extra clothret[ray] is not installed")
    script = ROOT / "benchmarks" / "distributed.py"
    run = subprocess.run(
        [sys.executable, str(script), "--images", "12", "--shard", "3"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert "| Ray, machines of one core: 2 |" in run.stdout
