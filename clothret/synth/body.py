"""People who wear garments: skin, hair, shoes, bags; none of it is annotated."""

from dataclasses import dataclass

import numpy as np

from clothret.synth.paint import Canvas, Light, paint_flat
from clothret.synth.palette import RGB, draw_color
from clothret.synth.pieces import Piece
from clothret.synth.pose import Placement, Points, Pose, limb, ribbon, spline

SKINS: tuple[RGB, ...] = (
    (244, 214, 192), (232, 190, 160), (214, 164, 128), (186, 132, 96), (146, 98, 68),
    (108, 70, 50), (78, 52, 40),
)  # fmt: skip
HAIRS: tuple[RGB, ...] = (
    (30, 24, 22), (58, 40, 30), (96, 62, 38), (146, 98, 52), (206, 168, 104), (120, 48, 28),
    (150, 150, 150),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Who wears the clothes.

    Attributes:
        skin, hair, shoes, bag: sRGB 0..255; `bag` is None where there is none.
        hair_length: 0 cropped, 1 down to the chest.
        hair_front: long hair falls in front of the shoulders.
        bag_kind: "hand", "shoulder" or "cross" (its strap crosses the chest).
        bag_side: -1 left in the picture, 1 right.
        hat: sRGB of a hat, or None.
    """

    skin: RGB
    hair: RGB
    shoes: RGB
    hair_length: float
    hair_front: bool
    bag: RGB | None
    bag_kind: str
    bag_side: int
    hat: RGB | None


def random_person(rng: np.random.Generator, *, bags: float = 0.3) -> Person:
    """Anyone; carries a bag with probability `bags`."""
    bag_colors = ("black", "brown", "beige", "red", "white", "navy", "burgundy")
    shoe_colors = ("black", "white", "brown", "beige", "red")
    tint = rng.uniform(0.94, 1.05)
    skin = np.clip(np.array(SKINS[rng.integers(len(SKINS))]) * tint, 0, 255)
    bag = draw_color(rng, bag_colors[rng.integers(len(bag_colors))])
    hat = draw_color(rng, bag_colors[rng.integers(len(bag_colors))])
    length = float(rng.random())
    return Person(
        skin=(int(skin[0]), int(skin[1]), int(skin[2])),
        hair=HAIRS[rng.integers(len(HAIRS))],
        shoes=draw_color(rng, shoe_colors[rng.integers(len(shoe_colors))]),
        hair_length=length,
        hair_front=bool(length > 0.55 and rng.random() < 0.4),
        bag=bag if rng.random() < bags else None,
        bag_kind=("hand", "shoulder", "cross")[rng.integers(3)],
        bag_side=int(rng.choice((-1, 1))),
        hat=hat if rng.random() < 0.08 else None,
    )


def _oval(x: float, y: float, half_width: float, half_height: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], 1).astype(
        np.float32
    )


def _closed(middle: Points, widths: list[float]) -> Points:
    first, second = ribbon(middle, widths)
    return np.concatenate([first, second[::-1]])


def _capsule(middle: Points, widths: list[float]) -> Points:
    """A limb with a round start."""
    first, second = ribbon(middle, widths)
    tangent = middle[0] - middle[1]
    tangent *= widths[0] / (np.linalg.norm(tangent) + 1e-9)
    turn = np.linspace(0, np.pi, 8)[1:-1, None]
    across = (second[0] - first[0]) / 2
    cap = middle[0] + across * np.cos(turn) + tangent * np.sin(turn)
    return np.concatenate([first, second[::-1], cap.astype(np.float32)])


def _symmetric(right: list[tuple[float, float]]) -> Points:
    half = spline(right, 4)
    return np.concatenate([half, (half * np.array([-1, 1], np.float32))[::-1]])


class Figure:
    """A person in a pose, painted layer by layer with the garments between the layers."""

    def __init__(
        self, canvas: Canvas, person: Person, pose: Pose, place: Placement, light: Light
    ) -> None:
        self.canvas, self.person, self.pose = canvas, person, pose
        self.place, self.light = place, light

    def _paint(self, outline: Points, color: RGB, radius: float = 0.25) -> None:
        points = self.place.to_pixels(outline)
        paint_flat(self.canvas, points, color, self.light, radius * self.place.scale)

    def ground_shadow(self) -> None:
        """The shadow that the feet stand in."""
        ends = [limb(self.pose, side, "leg")[-1] for side in (-1, 1)]
        middle = (ends[0] + ends[1]) / 2
        oval = _oval(float(middle[0]), float(middle[1]) + 0.2, 1.25, 0.22)
        self.canvas.shade(self.place.to_pixels(oval), self.light, 0.12 * self.place.scale)

    def below(self) -> None:
        """Everything that garments cover: back hair, legs, shoes, trunk, neck."""
        person = self.person
        if person.hair_length > 0.3:
            low = 0.1 + 1.2 * (person.hair_length - 0.3)
            hair = [(0.0, -1.42), (0.44, -1.1), (0.48, -0.5), (0.5, low), (0.2, low + 0.1)]
            self._paint(_symmetric(hair), person.hair, 0.2)
        for side in (-1, 1):
            leg = limb(self.pose, side, "leg")
            self._paint(_closed(leg, [0.43, 0.37, 0.27, 0.28, 0.15]), person.skin)
            x, y = map(float, leg[-1])
            shoe = _oval(x + 0.10 * side, y + 0.14, 0.27, 0.19)
            self._paint(shoe, person.shoes, 0.12)
        trunk = [(0.2, -0.1), (0.42, 0.06), (0.86, 0.16), (0.78, 0.9), (0.6, 2.0), (0.8, 2.9)]
        self._paint(_symmetric([*trunk, (0.1, 3.45)]), person.skin, 0.4)
        neck = np.array([[-0.2, -0.6], [0.2, -0.6], [0.24, 0.16], [-0.24, 0.16]], np.float32)
        shade = tuple(int(0.9 * part) for part in person.skin)
        self._paint(neck, shade, 0.2)  # type: ignore[arg-type]

    def arms(self, covered: float = 0.0) -> None:
        """Arms and hands, over the bodice and under the sleeves.

        Args:
            covered: share of the arm inside a sleeve; all but the last of that is left out.
        """
        widths = [0.21, 0.2, 0.16, 0.15, 0.1]
        first = max(0.0, covered - 0.05)
        start = first * (len(widths) - 1)
        widths = [float(np.interp(at, range(5), widths)) for at in np.linspace(start, 4, 5)]
        for side in (-1, 1):
            arm = limb(self.pose, side, "arm", first=first)
            outline = _closed(arm, widths) if covered else _capsule(arm, widths)
            self.canvas.shade(self.place.to_pixels(outline), self.light, 0.05 * self.place.scale)
            self._paint(outline, self.person.skin, 0.16)
            reach = arm[-1] + 0.13 * (arm[-1] - arm[-2]) / np.linalg.norm(arm[-1] - arm[-2])
            self._paint(_oval(float(reach[0]), float(reach[1]), 0.14, 0.18), self.person.skin, 0.1)

    def head(self) -> None:
        """Head, face, hair and hat."""
        person = self.person
        self._paint(_oval(0.0, -0.80, 0.37, 0.52), person.skin, 0.3)
        if self.pose.turned:
            self._paint(_oval(0.0, -0.85, 0.42, 0.58), person.hair, 0.3)
        else:
            self._face()
            top = [(0.0, -1.42), (0.32, -1.29), (0.42, -0.95), (0.38, -0.7), (0.32, -1.02)]
            self._paint(_symmetric([*top, (0.12, -1.14)]), person.hair, 0.2)
        if person.hair_front:
            low = 0.35 + 1.1 * (person.hair_length - 0.3)
            for side in (-1, 1):
                strand = spline([(0.36 * side, -1.0), (0.42 * side, -0.3), (0.5 * side, low)])
                self._paint(_closed(strand, [0.08, 0.14, 0.15, 0.04]), person.hair, 0.1)
        if person.hat is not None:
            self._paint(_oval(0.0, -1.16, 0.66, 0.10), person.hat, 0.1)
            crown = np.array([[-0.4, -1.14], [-0.32, -1.58], [0.32, -1.58], [0.4, -1.14]])
            self._paint(crown.astype(np.float32), person.hat, 0.2)

    def _face(self) -> None:
        skin = np.array(self.person.skin)
        dark, lips = (0.35 * skin).astype(int), (0.72 * skin + [40, 0, 5]).astype(int)
        for x in (-0.14, 0.14):
            self._paint(_oval(x, -0.82, 0.045, 0.028), tuple(dark), 0.02)
        self._paint(_oval(0.0, -0.55, 0.10, 0.03), tuple(np.minimum(lips, 255)), 0.02)

    def bag(self) -> None:
        """A bag in the hand, on the shoulder or across the chest, over everything else."""
        person, side = self.person, self.person.bag_side
        if person.bag is None:
            return
        hand = limb(self.pose, side, "arm")[-1]
        if person.bag_kind == "hand":
            x, y, top = float(hand[0]), float(hand[1]) + 0.75, hand
        else:
            x, y = 0.98 * side, 2.6 if person.bag_kind == "shoulder" else 2.9
            anchor = 0.62 * side if person.bag_kind == "shoulder" else -0.62 * side
            top = np.array([anchor, 0.08], np.float32)
        for offset in (-0.22, 0.22):
            end = np.array([x + offset, y - 0.4], np.float32)
            self._paint(
                _closed(spline([top, (top + end) / 2, end]), [0.045, 0.045]), person.bag, 0.05
            )
        corners = [(x - 0.5, y - 0.42), (x + 0.5, y - 0.42), (x + 0.58, y + 0.42)]
        box = np.array([*corners, (x - 0.58, y + 0.42)], np.float32)
        self.canvas.shade(self.place.to_pixels(box), self.light, 0.08 * self.place.scale)
        self._paint(box, person.bag, 0.14)
        flap = np.array([*corners[:2], (x + 0.3, y), (x - 0.3, y)], np.float32)
        darker = tuple(int(0.86 * part) for part in person.bag)
        self._paint(flap, darker, 0.1)  # type: ignore[arg-type]


def hanger(
    canvas: Canvas, pieces: list[Piece], place: Placement, light: Light, *, clips: bool
) -> None:
    """A hanger behind a top, or a bar with clips above a waistband."""
    wood = (150, 112, 76)
    top = min(float(piece.outline[:, 1].min()) for piece in pieces)
    bar = top - 0.12 if clips else 0.1
    neck = bar - (0.35 if clips else 0.3)
    hook = spline(
        [
            (0.0, neck),
            (0.0, neck - 0.3),
            (0.16, neck - 0.5),
            (0.0, neck - 0.66),
            (-0.15, neck - 0.55),
        ]
    )
    slope = 0.0 if clips else 0.18
    arms = spline(
        [
            (-0.9, bar + slope),
            (-0.3, bar - 0.12),
            (0.0, neck),
            (0.3, bar - 0.12),
            (0.9, bar + slope),
        ]
    )
    for line, breadth in ((hook, 0.03), (arms, 0.07)):
        paint_flat(canvas, place.to_pixels(_closed(line, [breadth, breadth])), wood, light, 3)
    if clips:
        for side in (-1, 1):
            clip = np.array(
                [(0.5, bar), (0.66, bar), (0.66, top + 0.1), (0.5, top + 0.1)], np.float32
            )
            clip = clip * np.array([side, 1], np.float32)
            paint_flat(canvas, place.to_pixels(clip), (120, 120, 125), light, 3)
