"""Versions of trained models: `models/<version>/` and the pointer `models/current`."""

import json
import tarfile
import tempfile
import uuid
from pathlib import Path
from typing import Any

from clothret.errors import ArtifactError, InputError, NotFoundError
from clothret.lake.digests import FileDigest, digest_tree, digest_value, parse_json, wrong_files
from clothret.lake.storage import Storage

REQUIRED = ("model.pt", "config.json")
MANIFEST = "manifest.json"
METRICS = "metrics.json"  # the only file of a version that may change


class ModelRegistry:
    """The models of a lake. A version is whole once its manifest is there, written last."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def add(self, folder: Path, *, version: str | None = None) -> str:
        """Keep a copy of a trained model; adding the same model again changes nothing.

        Args:
            folder: holds model.pt, config.json and any other files (curves, a card).
            version: name; by default `m-` and 12 digits of the digest of weights and config.

        Raises:
            InputError: model.pt or config.json is missing, or `version` names another model.
        """
        missing = [name for name in REQUIRED if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{folder}: a model needs {', '.join(REQUIRED)}; missing {missing}")
        files = digest_tree(folder)
        digest = digest_value({name: files[name].sha256 for name in REQUIRED})
        name = version or f"m-{digest[:12]}"
        if name in self.versions():
            if self.digest(name) != digest:
                raise InputError(f"model {name} exists and differs; versions never change")
            return name
        self.storage.put_tree(folder, f"models/{name}")
        fixed = {path: file for path, file in files.items() if path not in (MANIFEST, METRICS)}
        manifest = {"version": name, "digest": digest, "files": fixed}
        self._write(f"models/{name}/{MANIFEST}", manifest)
        return name

    def versions(self) -> list[str]:
        """Names of the whole versions, sorted."""
        entries = self.storage.list("models")
        parts = [entry.path.split("/") for entry in entries]
        return sorted(p[1] for p in parts if len(p) == 3 and p[2] == MANIFEST)

    def current(self) -> str | None:
        """The promoted version, or None."""
        data = self.storage.read_or_none("models/current")
        return None if data is None else parse_json(data, "models/current")["version"]

    def promote(self, version: str) -> None:
        """Make a version current.

        Raises:
            NotFoundError: no such version.
            ConflictError: another promotion was first.
        """
        self._manifest(version)
        data, token = self.storage.read_versioned("models/current")
        previous = None if data is None else parse_json(data, "models/current")["version"]
        record = {"version": version, "previous": previous, "nonce": uuid.uuid4().hex}
        self.storage.compare_and_swap("models/current", _encode(record), token)

    def resolve(self, version: str) -> str:
        """`version` itself, or what "current" stands for.

        Raises:
            NotFoundError: nothing is current, or no such version.
        """
        name = self.current() if version == "current" else version
        if name is None:
            raise NotFoundError(
                f"{self.storage.url}: no model is current; train one and promote it "
                "(clothret evaluate --promote), or find garments without one: --detector plain"
            )
        self._manifest(name)
        return name

    def fetch(self, version: str = "current") -> Path:
        """Local folder with model.pt, config.json and the other files.

        Raises:
            NotFoundError: as `resolve`.
            ArtifactError: a file is missing or has another size.
        """
        name = self.resolve(version)
        folder = self.storage.local_tree(f"models/{name}")
        for path, expected in self._files(name).items():
            size = (folder / path).stat().st_size if (folder / path).is_file() else None
            if size != expected.size:
                raise ArtifactError(
                    f"models/{name}/{path}: expected {expected.size} bytes, found {size}"
                )
        return folder

    def digest(self, version: str) -> str:
        """Digest of weights and configuration: what detections depend on."""
        return self._manifest(version)["digest"]

    def metrics(self, version: str) -> dict[str, Any]:
        """What evaluations recorded; {} before the first."""
        name = self.resolve(version)
        data = self.storage.read_or_none(f"models/{name}/{METRICS}")
        return {} if data is None else parse_json(data, f"models/{name}/{METRICS}")

    def set_metrics(self, version: str, metrics: dict[str, Any]) -> None:
        """Record an evaluation."""
        self._write(f"models/{self.resolve(version)}/{METRICS}", metrics)

    def export(self, version: str, file: Path) -> None:
        """Write a version to one portable tar file."""
        folder = self.fetch(version)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        try:
            with tarfile.open(beside, "w") as archive:
                for path in sorted(item for item in folder.rglob("*") if item.is_file()):
                    archive.add(path, path.relative_to(folder).as_posix())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)

    def import_(self, file: Path) -> str:
        """Add a version from a file that `export` wrote.

        Raises:
            InputError: no such archive, or its files are not those of its manifest.
        """
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            try:
                with tarfile.open(file, "r:") as archive:
                    archive.extractall(folder, filter="data")
                manifest = parse_json((folder / MANIFEST).read_bytes(), MANIFEST)
            except (OSError, tarfile.TarError, ArtifactError) as error:
                raise InputError(f"{file}: expected an exported model ({error})") from None
            found = digest_tree(folder)
            for path, expected in manifest["files"].items():
                if found.get(path) != FileDigest(*expected):
                    raise InputError(f"{file}: {path} differs from the archive's manifest")
            return self.add(folder, version=manifest["version"])

    def wrong_files(self, version: str) -> list[str]:
        """Files of a version that are missing or damaged, with the reason."""
        files = {f"models/{version}/{path}": file for path, file in self._files(version).items()}
        return wrong_files(self.storage, files)

    def _files(self, version: str) -> dict[str, FileDigest]:
        return {path: FileDigest(*file) for path, file in self._manifest(version)["files"].items()}

    def _manifest(self, version: str) -> dict[str, Any]:
        path = f"models/{version}/{MANIFEST}"
        data = self.storage.read_or_none(path)
        if data is None:
            raise NotFoundError(f"{self.storage.url}: no model {version!r}; have {self.versions()}")
        return parse_json(data, path)

    def _write(self, path: str, value: dict[str, Any]) -> None:
        self.storage.write_bytes(path, _encode(value))


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
