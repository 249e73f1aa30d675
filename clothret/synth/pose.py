"""Poses, limbs and where a figure stands in the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

SHOULDER = (0.84, 0.36)
ARM = (1.45, 1.35)
HIP = (0.44, 3.05)
LEG = (1.95, 2.05)


@dataclass(frozen=True, slots=True)
class Pose:
    """How limbs are held, in degrees outward from straight down; (left, right) as seen.

    Attributes:
        arms: for each side the angle of the upper arm and of the forearm; negative crosses
            in front of the body.
        legs: for each side the angles of thigh and shin.
        turned: the figure is seen from the side or the back.
    """

    arms: tuple[tuple[float, float], tuple[float, float]] = ((12.0, 6.0), (12.0, 6.0))
    legs: tuple[tuple[float, float], tuple[float, float]] = ((3.0, 1.0), (3.0, 1.0))
    turned: bool = False


def random_pose(rng: np.random.Generator) -> Pose:
    """Standing or walking; each arm hangs, rests on the hip, or is bent across the body."""
    arms = []
    for kind in rng.random(2):
        if kind < 0.82:
            upper = rng.uniform(5, 24)
            arms.append((upper, upper + rng.uniform(-20, 6)))
        elif kind < 0.96:
            upper = rng.uniform(32, 50)
            arms.append((upper, rng.uniform(-62, -38)))
        else:
            arms.append((rng.uniform(10, 20), rng.uniform(-130, -95)))
    thigh = rng.uniform(-1, 11, 2)
    legs = tuple((a, a + d) for a, d in zip(thigh, rng.uniform(-9, 3, 2), strict=True))
    return Pose((arms[0], arms[1]), (legs[0], legs[1]), turned=bool(rng.random() < 0.22))


def laid_out(rng: np.random.Generator) -> Pose:
    """Sleeves and legs spread as on a table or a hanger."""
    sleeve, leg = rng.uniform(12, 48), rng.uniform(2, 9)
    bend = sleeve + rng.uniform(-16, 8)
    return Pose(((sleeve, bend), (sleeve, bend)), ((leg, leg), (leg, leg)))


def limb(pose: Pose, side: int, kind: str, *, first: float = 0.0, last: float = 1.0) -> Points:
    """(14, 2) points along the middle of an arm or a leg, bent softly at the joint.

    Args:
        side: -1 for the left of the picture, 1 for the right.
        kind: "arm" or "leg".
        first, last: which stretch, as shares of the limb's length.
    """
    root, lengths = (SHOULDER, ARM) if kind == "arm" else (HIP, LEG)
    angles = np.radians((pose.arms if kind == "arm" else pose.legs)[(side + 1) // 2])
    directions = np.stack([side * np.sin(angles), np.cos(angles)], 1)
    start = np.array([side * root[0], root[1]])
    joints = np.stack([start, start + lengths[0] * directions[0]])
    joints = np.concatenate([joints, joints[-1:] + lengths[1] * directions[1:]])
    reach = np.array([0.0, lengths[0], sum(lengths)])
    along = np.linspace(first, last, 14) * reach[-1]
    middle = np.stack([np.interp(along, reach, joints[:, axis]) for axis in (0, 1)], 1)
    middle[1:-1] = (middle[:-2] + 2 * middle[1:-1] + middle[2:]) / 4
    return middle.astype(np.float32)


def ribbon(middle: Points, widths: NDArray | list[float]) -> tuple[Points, Points]:
    """The two edges at `widths` (half breadths, spread evenly along) on either side of `middle`."""
    tangent = np.gradient(middle, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    spread = np.interp(np.linspace(0, 1, len(middle)), np.linspace(0, 1, len(widths)), widths)
    shift = normal * spread[:, None]
    return (middle + shift).astype(np.float32), (middle - shift).astype(np.float32)


def spline(points: NDArray | list, steps: int = 5) -> Points:
    """Catmull-Rom curve through the points, both ends included."""
    knots = np.asarray(points, np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curves = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:])
    ]
    return np.concatenate([*curves, knots[-1:]]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Placement:
    """From body units to pixels.

    Attributes:
        scale: pixels of one body unit.
        x, y: pixel of the base of the neck.
        turn: clockwise rotation, degrees.
        squash: breadth against a frontal view, 1 frontal.
        lean: how far the body bends sideways, body units at the ankle.
    """

    scale: float
    x: float
    y: float
    turn: float = 0.0
    squash: float = 1.0
    lean: float = 0.0

    def matrix(self) -> NDArray[np.float64]:
        """(2, 2) linear part, body units to pixels, lean apart."""
        angle = np.radians(self.turn)
        spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return self.scale * spin @ np.diag([self.squash, 1.0])

    def to_pixels(self, points: Points) -> NDArray[np.float64]:
        """(N, 2) body units to (N, 2) pixels, x, y."""
        bent = points.astype(np.float64)
        bent[:, 0] += self.lean * (bent[:, 1] / 7.0) ** 2
        return bent @ self.matrix().T + (self.x, self.y)
