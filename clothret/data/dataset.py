"""An ingested dataset: splits as memory-mapped arrays, COCO files, what was rejected."""

import hashlib
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clothret.data.shards import stage_shards
from clothret.errors import ArtifactError, NotFoundError
from clothret.lake.digests import FileDigest, parse_json, wrong_files
from clothret.lake.storage import Storage
from clothret.settings import cache_dir
from clothret.types import Annotations, Scheme
from clothret.types.arrow import read_annotations

FORMAT = 1
COCO_SUFFIX: dict[Scheme, str] = {"df2": "13", "binary": "binary"}


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset in the lake.

    Attributes:
        storage: the lake.
        name, version: its place there.
        manifest: what `ingest` recorded: splits with counts, files with digests.
    """

    storage: Storage
    name: str
    version: str
    manifest: dict[str, Any] = field(repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: "train", "validation" and perhaps "test"."""
        return tuple(self.manifest["splits"])

    @property
    def prefix(self) -> str:
        """Path of the version in the lake."""
        return version_prefix(self.name, self.version)

    def split(self, name: str, *, images: bool = True) -> Annotations:
        """A split, memory-mapped: 32,000 images are ready in milliseconds.

        Args:
            name: one of `splits`.
            images: bring the pictures to the local disk, if the lake is a bucket and they are
                not there yet.

        Raises:
            NotFoundError: no such split.
            ArtifactError: its file is damaged.
        """
        return read_annotations(self.annotations_path(name), self.image_dir(name, images=images))

    def annotations_path(self, split: str) -> Path:
        """Local Arrow file of a split, for processes that map it themselves."""
        return self._local(f"annotations/{self._known(split)}.arrow")

    def coco_path(self, split: str, scheme: Scheme = "df2") -> Path:
        """Local COCO file of a split."""
        return self._local(f"coco/{self._known(split)}.{COCO_SUFFIX[scheme]}.json")

    def garments(self, split: str) -> pa.Table:
        """One row per garment, with names, polygons and landmarks."""
        return pq.read_table(self._local(f"annotations/{self._known(split)}.parquet"))

    def rejected(self) -> pa.Table:
        """One row per garment left out: split, file_name, item, category, reason, detail."""
        return pq.read_table(self._local("rejected.parquet"))

    def verify(self) -> list[str]:
        """What is wrong with the version's files, one line each; [] if nothing is."""
        files = {
            f"{self.prefix}/{path}": FileDigest(*digest)
            for path, digest in self.manifest["files"].items()
        }
        wrong = wrong_files(self.storage, files)
        return wrong + self._wrong_images() if self.storage.is_local and not wrong else wrong

    def _wrong_images(self) -> list[str]:
        wrong = []
        columns = pq.read_table(self._local("pictures.parquet")).to_pydict()
        for split, name, crc in zip(
            columns["split"], columns["file_name"], columns["crc32"], strict=True
        ):
            path = f"{self.prefix}/images/{split}/{name}"
            try:
                found = zlib.crc32(self.storage.read_bytes(path))
            except NotFoundError:
                wrong.append(f"{path}: missing")
                continue
            if found != crc:
                wrong.append(f"{path}: expected CRC {crc:08x}, found {found:08x}")
        return wrong

    def _known(self, split: str) -> str:
        if split not in self.splits:
            raise NotFoundError(
                f"dataset {self.name!r} {self.version}: no split {split!r}, it has "
                f"{', '.join(self.splits)}"
            )
        return split

    def _local(self, path: str) -> Path:
        return self.storage.local_copy(f"{self.prefix}/{path}")

    def image_dir(self, split: str, *, images: bool = True) -> Path:
        """Local folder of a split's pictures.

        Args:
            split: one of `splits`.
            images: bring them there, if the lake is a bucket and they are not there yet.
        """
        if self.storage.is_local:
            return Path(self.storage.url) / self.prefix / "images" / split
        lake = hashlib.sha256(self.storage.url.encode()).hexdigest()[:16]
        folder = cache_dir() / "datasets" / lake / self.name / self.version / "images" / split
        if not images:
            return folder
        start = f"images/{split}/"
        shards = {
            f"{self.prefix}/{path}": FileDigest(*digest)
            for path, digest in self.manifest["files"].items()
            if path.startswith(start)
        }
        return stage_shards(self.storage, shards, folder)


def version_prefix(name: str, version: str) -> str:
    """Path of a dataset's version in the lake."""
    return f"datasets/{name}/{version}"


def open_dataset(storage: Storage, name: str = "df2", version: str | None = None) -> Dataset:
    """A dataset of the lake, the current version unless another is asked for.

    Raises:
        NotFoundError: the lake has no such dataset or version.
        ArtifactError: its manifest is damaged or of another format.
    """
    if version is None:
        current = storage.read_or_none(f"datasets/{name}/current")
        if current is None:
            raise NotFoundError(
                f"{storage.url}: no dataset {name!r}; `clothret ingest SRC --name {name}` makes it"
            )
        version = current.decode().strip()
    dataset = find_version(storage, name, version)
    if dataset is None:
        raise NotFoundError(f"{storage.url}: dataset {name!r} has no version {version!r}")
    return dataset


def find_version(storage: Storage, name: str, version: str) -> Dataset | None:
    """A version if the lake has it whole, else None."""
    path = f"{version_prefix(name, version)}/manifest.json"
    data = storage.read_or_none(path)
    if data is None:
        return None
    manifest = parse_json(data, f"{storage.url}/{path}")
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            f"{storage.url}/{path}: expected format {FORMAT}, found {manifest.get('format')!r}"
        )
    return Dataset(storage, name, version, manifest)
