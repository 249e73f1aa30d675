"""The three criteria of similarity and the weights of a query."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from clothret.errors import InputError

CRITERIA: tuple[str, str, str] = ("color", "texture", "shape")


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each criterion counts in a query: finite, ≥ 0, not all 0. Only ratios matter."""

    color: float = 1.0
    texture: float = 1.0
    shape: float = 1.0

    def __post_init__(self) -> None:
        for name, value in zip(CRITERIA, self, strict=True):
            if not math.isfinite(value) or value < 0:
                raise InputError(f"weight of {name} must be finite and ≥ 0, got {value}")
        if not any(self):
            raise InputError("weights must not all be 0")

    def __iter__(self) -> Iterator[float]:
        return iter((self.color, self.texture, self.shape))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `color=1,texture=0.5`; criteria left out weigh 0.

        Raises:
            InputError: an unknown criterion, a repeated one, or no number.
        """
        values: dict[str, float] = {}
        for part in text.split(","):
            name, equals, number = (piece.strip() for piece in part.partition("="))
            if not equals or name not in CRITERIA or name in values:
                raise InputError(
                    f"weights must look like 'color=1,texture=0.5,shape=0', each once; got {part!r}"
                )
            try:
                values[name] = float(number)
            except ValueError:
                raise InputError(f"weight of {name} must be a number, got {number!r}") from None
        return cls(*(values.get(name, 0.0) for name in CRITERIA))

    def __str__(self) -> str:
        return ",".join(f"{name}={value:g}" for name, value in zip(CRITERIA, self, strict=True))
