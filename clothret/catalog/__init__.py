"""Catalogs: what a merchant sells, kept searchable night by night."""

from clothret.catalog.opened import OpenGeneration, open_generation
from clothret.catalog.reindex import (
    describe_catalog,
    index_catalog,
    reindex,
    segment_catalog,
)
from clothret.catalog.report import ReindexReport, StageReport
from clothret.catalog.specs import (
    CatalogSpec,
    add_catalog,
    find_catalog,
    list_catalogs,
    remove_catalog,
)

__all__ = [
    "CatalogSpec",
    "OpenGeneration",
    "ReindexReport",
    "StageReport",
    "add_catalog",
    "describe_catalog",
    "find_catalog",
    "index_catalog",
    "list_catalogs",
    "open_generation",
    "reindex",
    "remove_catalog",
    "segment_catalog",
]
