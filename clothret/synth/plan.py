"""Which pictures a split holds: looks photographed by a shop and by those who wear them."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import orjson

from clothret.errors import ImageError
from clothret.synth.annotate import annotate
from clothret.synth.palette import COLORS, distance, draw_palette
from clothret.synth.scene import Shot, shoot
from clothret.synth.spec import GarmentSpec, random_spec

WORN = {"user": 0.85, "shop": 0.6}
"""Share of pictures of a garment on a body, where nothing else is worn with it."""

WITH_OTHERS = (1.0, 0.24, 0.09)
"""Factor on that share by the number of other garments: most pictures show one."""

APART = 0.36
"""Least distance of the base colors of garments worn together, as a share of RGB's diagonal."""

TOPS, BOTTOMS = (1, 2, 5, 6), (7, 8, 9)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to take.

    Attributes:
        number: of the file, from 1.
        source: "shop" or "user".
        pair_id: the look it shows.
        specs: the outfit; the garment the picture is about comes first.
        paired: the look has pictures of both sources.
        worn: on a body; only the first garment is shown otherwise.
        seed: of the picture alone.
        size: pixels of the longer side.
    """

    number: int
    source: str
    pair_id: int
    specs: tuple[GarmentSpec, ...]
    paired: bool
    worn: bool
    seed: tuple[int, ...]
    size: int


def outfit(rng: np.random.Generator, anchor: GarmentSpec) -> tuple[GarmentSpec, ...]:
    """The garment with what is worn with it: a top with trousers, a coat over both."""
    specs = [anchor]
    if anchor.category in TOPS or anchor.family == "outerwear":
        specs.append(_companion(rng, BOTTOMS, specs))
    if anchor.category in BOTTOMS or anchor.shape.opening > 0:
        specs.append(_companion(rng, TOPS, specs))
    return tuple(specs)


def _companion(
    rng: np.random.Generator, categories: tuple[int, ...], worn: list[GarmentSpec]
) -> GarmentSpec:
    """Something that sets itself off, as people dress: of another color, mostly plain."""
    fixed = {"texture": "plain"} if rng.random() < 0.75 else {}
    spec = random_spec(rng, category=int(rng.choice(categories)), **fixed)
    while any(distance(spec.palette[0], other.palette[0]) < APART for other in worn):
        color = list(COLORS)[int(rng.integers(len(COLORS)))]
        spec = replace(spec, color=color, palette=draw_palette(rng, color))
    return spec


def plan_split(seed: int, split: int, count: int, size: int) -> list[Picture]:
    """The pictures of one split, each look's side by side.

    Most looks have one shop picture and one or two of users; some are seen once.

    Args:
        split: 0 train, 1 validation; no garment is in both.
        count: pictures.
    """
    rng = np.random.default_rng([seed, split, 1])
    pictures: list[Picture] = []
    categories: list[int] = []
    pair_id = 0
    while len(pictures) < count:
        if not categories:  # each category once, in any order, before any comes again
            categories = [int(number) + 1 for number in rng.permutation(13)]
        pair_id += 1
        specs = outfit(rng, random_spec(rng, category=categories.pop()))
        left = count - len(pictures)
        alone = rng.random() < 0.2 and len(pictures) >= 2
        sources = ["shop", "user", "user"][: int(rng.integers(2, 4))]
        if alone or left < 2:
            sources = [("shop", "user")[int(rng.integers(2))]]
        for source in sources[:left]:
            number = len(pictures) + 1
            worn = bool(rng.random() < WORN[source] * WITH_OTHERS[len(specs) - 1])
            pictures.append(
                Picture(
                    number, source, pair_id, specs, len(sources) > 1, worn,
                    (seed, split, 2, number), size,
                )
            )  # fmt: skip
    return pictures


def take(picture: Picture) -> tuple[Shot, dict]:
    """The shot and DeepFashion2's record of it.

    Styles number the garments of a look that has pictures of both sources.
    """
    rng = np.random.default_rng(picture.seed)
    amateur = picture.source == "user"
    plain = not amateur or bool(rng.random() < 0.15)
    shot = shoot(
        rng, picture.specs, size=picture.size, worn=picture.worn, amateur=amateur, plain=plain
    )
    styles = {position: position + 1 for position in range(len(shot.garments))}
    record = annotate(
        shot,
        source=picture.source,
        pair_id=picture.pair_id,
        styles=styles if picture.paired else {},
    )
    return shot, record


def encode_jpeg(shot: Shot, quality: int) -> bytes:
    """The picture as JPEG, `quality` 0..100.

    Raises:
        ImageError: OpenCV could not encode it.
    """
    done, data = cv2.imencode(".jpg", shot.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ImageError(f"a picture of shape {shot.rgb.shape} could not be encoded as JPEG")
    return data.tobytes()


def render(picture: Picture) -> tuple[bytes, dict]:
    """JPEG and record of one picture; the same whatever process makes it."""
    shot, record = take(picture)
    quality = int(np.random.default_rng([*picture.seed, 3]).integers(82, 94))
    return encode_jpeg(shot, quality), record


def settle_styles(records: list[dict]) -> None:
    """Set a style to 0 where the other source has no picture that shows that garment.

    Args:
        records: all pictures of the looks they show; changed in place.
    """
    seen: dict[tuple[int, int], set[str]] = {}
    for record in records:
        for item in _items(record):
            seen.setdefault((record["pair_id"], item["style"]), set()).add(record["source"])
    for record in records:
        for item in _items(record):
            if len(seen[record["pair_id"], item["style"]]) < 2:
                item["style"] = 0


def _items(record: dict) -> list[dict]:
    return [value for key, value in record.items() if key.startswith("item")]


def record_to_json(record: dict) -> bytes:
    """The record as DeepFashion2 writes it."""
    return orjson.dumps(record)
