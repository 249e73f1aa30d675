"""The choice of floats, measured once per machine."""

from pathlib import Path

import pytest

from clothret.detection import precision


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, on a CPU that claims to know bfloat16."""
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "cache"))
    supported = "_is_mkldnn_bf16_supported"
    monkeypatch.setattr(precision.torch.ops.mkldnn, supported, lambda: True)
    precision.native_bfloat16.cache_clear()
    yield tmp_path / "cache"
    precision.native_bfloat16.cache_clear()


@pytest.mark.parametrize(("gain", "expected"), [(0.6, False), (1.05, False), (2.0, True)])
def test_bfloat16_must_pay(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, gain: float, expected: bool
) -> None:
    monkeypatch.setattr(precision, "bfloat16_gain", lambda: gain)
    assert precision.native_bfloat16() is expected


def test_the_answer_is_kept_for_the_machine(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gains = iter([2.0, 0.5])
    monkeypatch.setattr(precision, "bfloat16_gain", lambda: next(gains))
    assert precision.native_bfloat16()
    precision.native_bfloat16.cache_clear()  # as in another process
    assert precision.native_bfloat16()
    (kept,) = fresh.iterdir()
    kept.write_text("damaged")
    precision.native_bfloat16.cache_clear()
    assert not precision.native_bfloat16()


def test_the_gain_is_measured() -> None:
    assert 0.01 < precision.bfloat16_gain() < 100
