"""How a garment is cut: the pieces it is sewn from, posed as the body is."""

from clothret.synth.lowers import skirt, trousers
from clothret.synth.pieces import Piece
from clothret.synth.pose import Pose
from clothret.synth.spec import SLINGS, GarmentSpec
from clothret.synth.uppers import fronts, lining, sleeve, torso


def cut(spec: GarmentSpec, pose: Pose, *, worn: bool = True) -> list[Piece]:
    """The pieces of a garment in the order they are painted, posed as the body is.

    Args:
        worn: nobody's neck hides the inside of the back otherwise.
    """
    if spec.family == "trousers":
        return trousers(spec, pose)
    if spec.family == "skirt":
        return skirt(spec)
    pieces = fronts(spec) if spec.family == "outerwear" else torso(spec)
    if not worn and spec.category not in SLINGS and spec.shape.neckline != "turtle":
        pieces.insert(0, lining(spec))
    if spec.shape.sleeve > 0:
        pieces += [sleeve(spec, pose, side) for side in (-1, 1)]
    return pieces
