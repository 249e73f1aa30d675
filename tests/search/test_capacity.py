"""`plan_capacity` scales a small trial."""

import pytest

from clothret.search import plan_capacity
from clothret.search.capacity import _line


def test_costs_grow_with_the_garments():
    plan = plan_capacity(3_000_000, dims=(4, 4, 4), rows=8000)
    assert plan["bytes_per_garment"] == {"vectors.f32": 48.0}
    assert plan["disk_gb"] == 0.144
    assert plan["memory_gb"] == 0  # so small a trial is scored in full: no codes
    small, large = plan["measured"]
    assert (small["rows"], large["rows"]) == (2000, 8000)
    assert plan["query_ms"]["none"] >= round(large["query_ms"]["none"], 2)


def test_costs_lie_on_the_line_through_both_trials():
    assert _line(400, 200, 1.0, 2.5) == pytest.approx(4.5)  # 50 rows cost 1, 200 cost 2.5
    assert _line(400, 200, 2.0, 1.9) == 1.9  # a busy moment is no falling cost
    assert _line(50, 200, 1.0, 2.5) == pytest.approx(1.0)


def test_codes_count_where_there_are_some():
    plan = plan_capacity(1_000_000, dims=(9, 9, 9), rows=25_000)
    assert plan["bytes_per_garment"] == {"vectors.f32": 108.0, "codes.u8": 12.0}
    assert plan["memory_gb"] == 0.024  # two copies of the codes


def test_no_garments_are_no_plan():
    with pytest.raises(ValueError, match="at least 1"):
        plan_capacity(0)
