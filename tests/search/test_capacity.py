"""`plan_capacity` scales a small trial."""

import pytest

from clothret.search import plan_capacity


def test_costs_grow_with_the_garments():
    plan = plan_capacity(3_000_000, dims=(4, 4, 4), rows=3000)
    assert plan["bytes_per_garment"] == {"vectors.f32": 48.0}
    assert plan["disk_gb"] == 0.144
    assert plan["build_seconds"] == pytest.approx(1000 * plan["measured"]["build_seconds"], abs=10)
    assert plan["query_ms"]["none"] >= plan["measured"]["query_ms"]["none"]


def test_codes_count_where_there_are_some():
    plan = plan_capacity(1_000_000, dims=(9, 9, 9), rows=25_000)
    assert plan["bytes_per_garment"] == {"vectors.f32": 108.0, "codes.u8": 12.0}
    assert plan["memory_gb"] == 0.02


def test_no_garments_are_no_plan():
    with pytest.raises(ValueError, match="at least 1"):
        plan_capacity(0)
