"""Which garment is meant."""

import numpy as np
import pytest

from clothret.errors import InputError
from clothret.query.choice import Choice, choose, clip_box, parse_box
from clothret.types import Detections

TWO = Detections(
    size=(100, 100),
    boxes=np.array([[0, 0, 20, 20], [30, 30, 80, 90]], np.float32),
    scores=np.array([0.9, 0.6], np.float32),
    labels=np.array([1, 1]),
    rles=(b"", b""),
)


def test_the_largest_by_default() -> None:
    assert choose(TWO, garment=None, box=None) == Choice(garment=1)


def test_by_number() -> None:
    assert choose(TWO, garment=0, box=None) == Choice(garment=0)


def test_nothing_where_nothing_was_found() -> None:
    assert choose(Detections((10, 10)), garment=None, box=None) is None


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((28.0, 32.0, 82.0, 88.0), Choice(garment=1)),  # drawn loosely around the second
        ((0.0, 0.0, 100.0, 100.0), Choice(box=(0.0, 0.0, 100.0, 100.0))),  # IoU 0.3 with it
        ((85.0, 5.0, 99.0, 25.0), Choice(box=(85.0, 5.0, 99.0, 25.0))),  # none there
    ],
)
def test_a_box_means_the_garment_it_overlaps_or_itself(
    box: tuple[float, float, float, float], expected: Choice
) -> None:
    assert choose(TWO, garment=None, box=box) == expected


def test_refusals_say_what_there_is() -> None:
    with pytest.raises(InputError, match="garment 2 is not in the picture; found: 0 to 1"):
        choose(TWO, garment=2, box=None)
    with pytest.raises(InputError, match="found: none"):
        choose(Detections((10, 10)), garment=0, box=None)
    with pytest.raises(InputError, match="not both"):
        choose(TWO, garment=0, box=(0, 0, 5, 5))


def test_clip_box() -> None:
    assert clip_box((-5, 2, 40, 200), (100, 30)) == (0.0, 2.0, 30.0, 100.0)
    for outside in [(40, 0, 50, 10), (5, 5, 5.5, 9), (float("nan"), 0, 9, 9)]:
        with pytest.raises(InputError, match="box"):
            clip_box(outside, (100, 30))


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,x", "5,5,1,9", "1,2,inf,9", "1,2,3,4,5"])
def test_parse_box_refuses(text: str) -> None:
    with pytest.raises(InputError, match="box must"):
        parse_box(text)
