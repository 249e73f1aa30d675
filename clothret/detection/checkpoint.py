"""Checkpoints: everything a killed training needs to go on as if nothing had happened.

The order of the data, the samples and the drawn anchors follow from (seed, step), so the state is
weights, optimizer, averages and the step. A file appears under its name only when it is whole
and on the disk; the newest that can be read counts, and two are kept.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch

from clothret.errors import ArtifactError
from clothret.lake.local import sync_folder

KEPT = 2

_NAME = re.compile(r"step-(\d{9})\.pt")
_LOG = logging.getLogger(__name__)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state after `step` steps, then delete all but the newest `KEPT`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    partial = folder / f".{path.name}.partial"
    with partial.open("wb") as file:
        torch.save(state | {"step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(folder)
    for old in _by_age(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path, expected: dict[str, Any]) -> dict[str, Any] | None:
    """The newest readable state of `folder`, or None if there is none.

    Args:
        folder: of `save_checkpoint`.
        expected: values the state's `run` must equal: the recipe, the data, the processes.

    Raises:
        ArtifactError: the checkpoint belongs to another run; the difference is named.
    """
    for path in _by_age(folder):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001  torch raises anything on a damaged file
            _LOG.warning("checkpoint %s cannot be read, trying the one before: %s", path, error)
            continue
        differing = _differences(state["run"], expected)
        if differing:
            raise ArtifactError(
                f"checkpoint {path} is of another run: {'; '.join(differing)}. "
                f"Resume with the same recipe and data, or train into another folder"
            )
        return state
    return None


def _differences(found: dict[str, Any], expected: dict[str, Any], prefix: str = "") -> list[str]:
    faults = []
    for name in sorted(found.keys() | expected.keys()):
        old, new = found.get(name), expected.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            faults += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            faults.append(f"{prefix}{name} was {old!r}, now {new!r}")
    return faults


def _by_age(folder: Path) -> list[Path]:
    """Whole checkpoints, the newest first."""
    if not folder.is_dir():
        return []
    steps = {path: _NAME.fullmatch(path.name) for path in folder.iterdir()}
    found = {path: int(match[1]) for path, match in steps.items() if match}
    return sorted(found, key=lambda path: -found[path])
