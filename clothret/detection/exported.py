"""A model as OpenVINO networks and plain numbers, so that it runs without torch.

Converting needs torch and takes ten seconds, so it is done once per model: the result lies in the
local cache, in a folder named by what it was made from (weights and configuration, scheme, our
code, OpenVINO's version). A folder appears whole, by one rename; it lists the digest of each of
its files, and one that differs is made again. Nothing here is worth a backup.
"""

import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from clothret.detection import CODE
from clothret.detection.entry import Entry
from clothret.errors import ArtifactError, NotFoundError, StorageError
from clothret.lake.digests import digest_bytes, digest_value, parse_json
from clothret.lake.local import UNFINISHED, LocalStorage
from clothret.settings import cache_dir
from clothret.types import Scheme

logger = logging.getLogger(__name__)

FORMAT = 2
"""Rises when the folder's files are written otherwise."""
NAMES = ("pyramid", "boxes", "masks")
INT8_FOLDER = "openvino-int8"
"""Within a model's folder: what `openvino_backend.calibrate` left."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs between a detector's three networks, as numbers.

    Attributes:
        scheme: what labels mean.
        merged: the network knows the thirteen categories and answers as binary.
        entry: how pictures enter.
        strides: of the pyramid's levels, finest first; the last one is only proposed from.
        anchors: (levels, shapes, 4), boxes around the origin at each level that proposes.
        anchor_levels, box_levels, mask_levels: positions in `strides` of the levels that propose,
            and of those that boxes and masks are pooled from.
        candidates: anchors per level that the RPN's suppression looks at.
        proposal_overlap, box_overlap: intersection over union beyond which the worse of two goes.
        box_weights: by which the box head's deltas are divided.
        box_grid, mask_grid: cells per side of what the heads see; samples: per cell and axis.
    """

    scheme: Scheme
    merged: bool
    entry: Entry
    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, ...], ...], ...]
    anchor_levels: tuple[int, ...]
    box_levels: tuple[int, ...]
    mask_levels: tuple[int, ...]
    candidates: int
    proposal_overlap: float
    box_overlap: float
    box_weights: tuple[float, ...]
    box_grid: int
    mask_grid: int
    samples: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, through JSON."""
        entry = Entry(**_tuples(values["entry"]))
        return cls(**{**_tuples(values), "entry": entry})


@dataclass(frozen=True, slots=True)
class Exported:
    """A model ready for OpenVINO.

    Attributes:
        plan: what runs between the networks.
        networks: by name, the graph (XML) and its weights, as `openvino.Core.read_model` takes
            them.
    """

    plan: Plan
    networks: dict[str, tuple[bytes, bytes]]


def require(name: str) -> Any:
    """An optional package.

    Raises:
        NotFoundError: it is not installed.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise NotFoundError(
            f"backend 'openvino': {error.name} is not installed; "
            f"`pip install 'clothret[openvino]'` brings it"
        ) from None


def exported(model_dir: Path, model: str, scheme: Scheme | None) -> Exported:
    """The model of a folder from the cache; converted, and kept there, the first time.

    Args:
        model_dir: with `model.pt` and `config.json`.
        model: their digest.
        scheme: to answer in; None: the model's own.

    Raises:
        NotFoundError: OpenVINO is not installed, or the model is missing.
        ArtifactError: the model is damaged.
        StorageError: the cache cannot be written.
    """
    folder = cache_dir() / "openvino" / _key(model, scheme)
    try:
        return read_export(folder)
    except NotFoundError:
        logger.info("%s is converted for OpenVINO, once", model_dir)
    except ArtifactError as error:
        logger.warning("%s; converted again", error)
        _discard(folder)
    from clothret.detection.openvino_backend import convert

    plan, networks = convert(model_dir, scheme)
    write_export(folder, plan, networks)
    return read_export(folder)


def read_export(folder: Path) -> Exported:
    """What `write_export` left in a folder.

    Raises:
        NotFoundError: no such folder.
        ArtifactError: a file is missing, damaged or of another format.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder")
    record = parse_json(_bytes(folder / "detector.json"), str(folder / "detector.json"))
    stated = record.pop("digest", None)
    if record.get("format") != FORMAT or stated != digest_value(record):
        raise ArtifactError(f"{folder}/detector.json: expected format {FORMAT}, undamaged")
    data = {name: _bytes(folder / name) for name in record["files"]}
    for name, digest in record["files"].items():
        if digest_bytes(data[name]) != digest:
            raise ArtifactError(f"{folder}/{name}: expected sha256 {digest[:12]}, found another")
    networks = {name: (data[f"{name}.xml"], data[f"{name}.bin"]) for name in NAMES}
    return Exported(Plan.from_dict(record["plan"]), networks)


def write_export(folder: Path, plan: Plan, networks: Mapping[str, Any]) -> None:
    """Write a plan and OpenVINO networks to `folder`, unless another process was first.

    Raises:
        StorageError: the disk failed, or the folder's parent cannot be written.
    """
    save: Callable[..., None] = require("openvino").save_model
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        LocalStorage(folder.parent).delete_unfinished("", older_than=DAY)
        beside = folder.with_name(f"{UNFINISHED}{os.getpid()}-{uuid.uuid4().hex}")
        beside.mkdir()
        try:
            for name in NAMES:
                save(networks[name], beside / f"{name}.xml", compress_to_fp16=False)
            files = {file.name: digest_bytes(file.read_bytes()) for file in beside.iterdir()}
            record = {"format": FORMAT, "files": files, "plan": asdict(plan)}
            text = json.dumps(record | {"digest": digest_value(record)}, indent=1)
            (beside / "detector.json").write_text(text)
            _publish(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror or error}; "
            "set CLOTHRET_CACHE to a folder that can be written"
        ) from error


def read_calibrated(model_dir: Path, model: str) -> dict[str, tuple[bytes, bytes]]:
    """The networks in eight bits, as `Exported.networks`.

    Args:
        model_dir: with the folder that `openvino_backend.calibrate` made.
        model: digest of the model's weights and configuration.

    Raises:
        NotFoundError: the model was not calibrated.
        ArtifactError: the calibration is of another model.
    """
    folder = model_dir / INT8_FOLDER
    record = folder / "calibration.json"
    files = [folder / f"{name}{suffix}" for name in NAMES for suffix in (".xml", ".bin")]
    missing = [path.name for path in [record, *files] if not path.is_file()]
    if missing:
        raise NotFoundError(
            f"model {model_dir}: not calibrated for eight bits ({', '.join(missing)} missing in "
            f"{folder}); `python -m clothret.detection.openvino_backend` calibrates"
        )
    made_from = parse_json(record.read_bytes(), str(record)).get("model")
    if made_from != model:
        raise ArtifactError(f"{folder}: calibrated for model {made_from}, expected {model}")
    pairs = zip(files[::2], files[1::2], strict=True)
    return {
        name: (graph.read_bytes(), weights.read_bytes())
        for name, (graph, weights) in zip(NAMES, pairs, strict=True)
    }


def _publish(beside: Path, folder: Path) -> None:
    try:
        beside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        # Another process made the same in the meantime.


def _discard(folder: Path) -> None:
    """Renamed away first, so that no reader finds half of it."""
    doomed = folder.with_name(f"{UNFINISHED}{os.getpid()}-{folder.name}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return  # another process discarded it
    except OSError as error:
        raise StorageError(f"{folder}: damaged, and cannot be removed: {error}") from error
    shutil.rmtree(doomed, ignore_errors=True)


def _key(model: str, scheme: Scheme | None) -> str:
    parts = [FORMAT, CODE, require("openvino").__version__, model, scheme]
    return digest_value(parts)[:20]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file}: {error.strerror}") from None


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
