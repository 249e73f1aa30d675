"""Search: any weights of color, texture and shape, any filter, the right rows."""

from clothret.search.capacity import plan_capacity
from clothret.search.hits import Hits
from clothret.search.index import Index
from clothret.search.segment import SegmentInfo
from clothret.search.where import check_where
from clothret.search.write import merge_segments, write_segment

__all__ = [
    "Hits",
    "Index",
    "SegmentInfo",
    "check_where",
    "merge_segments",
    "plan_capacity",
    "write_segment",
]
