"""Catalogs: what a merchant sells, kept searchable night by night.

Names are imported when they are first used: a worker process needs neither DuckDB nor the index.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clothret.catalog.items import picture_rows
    from clothret.catalog.night import (
        describe_catalog,
        index_catalog,
        reindex,
        segment_catalog,
    )
    from clothret.catalog.opened import OpenGeneration, open_generation
    from clothret.catalog.report import ReindexReport, StageReport
    from clothret.catalog.specs import (
        CatalogSpec,
        add_catalog,
        find_catalog,
        list_catalogs,
        only_catalog,
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
    "only_catalog",
    "open_generation",
    "picture_rows",
    "reindex",
    "remove_catalog",
    "segment_catalog",
]

_MODULES = {
    "opened": ("OpenGeneration", "open_generation"),
    "report": ("ReindexReport", "StageReport"),
    "specs": (
        "CatalogSpec",
        "add_catalog",
        "find_catalog",
        "list_catalogs",
        "only_catalog",
        "remove_catalog",
    ),
    "items": ("picture_rows",),
    "night": ("describe_catalog", "index_catalog", "reindex", "segment_catalog"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(import_module(f"clothret.catalog.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
