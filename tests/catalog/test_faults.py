"""The core of the fault campaign; `benchmarks/faults.py` is the whole of it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_short_campaign_finds_no_fault() -> None:
    script = ROOT / "benchmarks" / "faults.py"
    run = subprocess.run(
        [sys.executable, str(script), "--quick"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert "| faults of the library | 0 |" in run.stdout
    assert "| S3 credentials expired | ok |" in run.stdout
