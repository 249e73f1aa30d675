"""Queries: a picture or a garment in, the items that look alike out."""

from clothret.query.choice import Box, parse_box
from clothret.query.detectors import Detectors
from clothret.query.explain import Explanation, explain
from clothret.query.outlines import outline
from clothret.query.picture import Picture
from clothret.query.result import Garment, Hit, QueryResult, plain
from clothret.query.session import MAX_HITS, Ask, QuerySession, open_session

__all__ = [
    "MAX_HITS",
    "Ask",
    "Box",
    "Detectors",
    "Explanation",
    "Garment",
    "Hit",
    "Picture",
    "QueryResult",
    "QuerySession",
    "explain",
    "open_session",
    "outline",
    "parse_box",
    "plain",
]
