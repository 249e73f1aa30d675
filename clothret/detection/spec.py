"""A training as values that travel between processes: what to do, and what it came to."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clothret.detection.model import ModelConfig
from clothret.detection.presets import TrainConfig
from clothret.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """A training as files and values, to hand to another process.

    Attributes:
        splits: Arrow files of annotations by split name.
        model, train: the recipe.
        out: folder to write.
        image_dirs: folder of a split's images by split name, if not where the annotations say.
        resume: go on from the newest checkpoint.
        start: model folder whose weights the network starts from; see `start_from`.
    """

    splits: dict[str, Path]
    model: ModelConfig
    train: TrainConfig
    out: Path
    image_dirs: dict[str, Path] = field(default_factory=dict)
    resume: bool = False
    start: Path | None = None

    def write(self, path: Path) -> None:
        """Write as JSON."""
        values = {
            "splits": {name: str(Path(split).absolute()) for name, split in self.splits.items()},
            "model": self.model.to_dict(),
            "train": self.train.to_dict(),
            "out": str(self.out.absolute()),
            "image_dirs": {name: str(Path(d).absolute()) for name, d in self.image_dirs.items()},
            "resume": self.resume,
            "start": str(self.start.absolute()) if self.start else None,
        }
        path.write_text(json.dumps(values, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "TrainSpec":
        """The inverse of `write`.

        Raises:
            ArtifactError: not such a file.
        """
        try:
            values = json.loads(path.read_text())
            return cls(
                splits={name: Path(split) for name, split in values["splits"].items()},
                model=ModelConfig.from_dict(values["model"]),
                train=TrainConfig.from_dict(values["train"]),
                out=Path(values["out"]),
                image_dirs={name: Path(d) for name, d in values["image_dirs"].items()},
                resume=values["resume"],
                start=Path(values["start"]) if values["start"] else None,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: cannot be read as a training spec: {error}") from error


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training came to.

    Attributes:
        out: folder with `model.pt`, `config.json`, `metrics.jsonl` and `curves.png`.
        steps, epochs: done in all, resumed ones included.
        images_per_second: over all processes; the median of the lines of metrics.
        best: figures of the kept model on the validation split, and its `step`; empty without.
        skipped: steps left out because a loss was not finite.
        finished: False if SIGTERM came first.
    """

    out: Path
    steps: int
    epochs: float
    images_per_second: float
    best: dict[str, float]
    skipped: int
    finished: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"out": str(self.out)}
