"""Registered catalogs: where their pictures and their items table are."""

import json
import re
from dataclasses import asdict, dataclass

from clothret.errors import CatalogError, InputError, NotFoundError
from clothret.lake.digests import parse_json
from clothret.lake.generations import SPEC, catalog_path
from clothret.lake.storage import Storage

DETECTORS = ("model", "plain", "items")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CatalogSpec:
    """What a nightly reindex covers.

    Attributes:
        name: letters, digits, `.`, `_`, `-`.
        images: folder or `s3://bucket/prefix` that image paths are relative to.
        items: CSV or Parquet file: a path, `s3://…` or `https://…`.
        detector: "model", "plain" or "items"; None takes the settings'.
    """

    name: str
    images: str
    items: str
    detector: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CatalogError(
                "a catalog's name must be 1 to 64 letters, digits, '.', '_' or '-', "
                f"starting with a letter or digit; got {self.name!r}"
            )
        if not self.images or not self.items:
            raise CatalogError(f"catalog {self.name}: both images and items must be given")
        if self.detector not in (None, "model", "plain", "items"):
            raise CatalogError(
                f"catalog {self.name}: detector must be 'model', 'plain' or 'items', "
                f"got {self.detector!r}"
            )

    def to_dict(self) -> dict[str, str | None]:
        """For `--json`."""
        return asdict(self)


def add_catalog(
    storage: Storage, name: str, images: str, items: str, detector: str | None = None
) -> CatalogSpec:
    """Register a catalog, or change where its pictures and items are and who segments them."""
    spec = CatalogSpec(name, str(images), str(items), detector)
    storage.write_bytes(catalog_path(name, SPEC), json.dumps(spec.to_dict(), indent=1).encode())
    return spec


def find_catalog(storage: Storage, name: str) -> CatalogSpec:
    """The registered catalog `name`.

    Raises:
        NotFoundError: there is none.
    """
    if _NAME.fullmatch(name):
        path = catalog_path(name, SPEC)
        data = storage.read_or_none(path)
        if data is not None:
            return CatalogSpec(**parse_json(data, path))
    have = [spec.name for spec in list_catalogs(storage)]
    raise NotFoundError(f"{storage.url}: no catalog {name!r}; have {have}")


def list_catalogs(storage: Storage) -> list[CatalogSpec]:
    """Every registered catalog, by name."""
    found = []
    for name in storage.folders("catalogs"):
        data = storage.read_or_none(catalog_path(name, SPEC))
        if data is not None:
            found.append(CatalogSpec(**parse_json(data, catalog_path(name, SPEC))))
    return found


def remove_catalog(storage: Storage, name: str) -> None:
    """Forget a catalog; `gc` deletes its files.

    Raises:
        NotFoundError: there is none.
    """
    find_catalog(storage, name)
    storage.delete(catalog_path(name, SPEC))


def only_catalog(storage: Storage) -> str:
    """The name of the only catalog.

    Raises:
        NotFoundError: there is none. InputError: there are more, so one must be named.
    """
    names = [spec.name for spec in list_catalogs(storage)]
    if not names:
        raise NotFoundError(f"{storage.url}: no catalog; `clothret reindex NAME …` makes one")
    if len(names) > 1:
        raise InputError(f"catalog must be given; there are {', '.join(names)}")
    return names[0]
