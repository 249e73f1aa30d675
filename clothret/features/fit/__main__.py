"""`python -m clothret.features.fit {color,texture,shape}`: make the parameters anew."""

import argparse
import logging
import tempfile
from pathlib import Path

from clothret.features.fit.color import fit_color
from clothret.features.fit.shape import fit_shape
from clothret.features.fit.texture import fit_texture

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def main() -> None:
    """Fit one descriptor and write `<out>/<criterion>.npz`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("criterion", choices=("color", "texture", "shape"))
    parser.add_argument(
        "--masks", type=Path, help="texture, shape: unpacked DeepFashion2 split, e.g. df2/train"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, help="optimizer steps; default: what was shipped")
    parser.add_argument(
        "--work", type=Path, help="texture: folder for generated cloth and a checkpoint"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="texture: stop after, to go on later"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"{arguments.criterion}.npz"
    steps = {} if arguments.steps is None else {"steps": arguments.steps}
    if arguments.criterion == "color":
        fit_color(target, **steps)
    elif arguments.masks is None:
        parser.error("texture and shape are fitted on photographs with masks: give --masks")
    elif arguments.criterion == "texture":
        work = arguments.work or Path(tempfile.mkdtemp())
        if not fit_texture(target, arguments.masks, work, minutes=arguments.minutes, **steps):
            logging.info("not finished: the same command goes on from %s", work)
    else:
        fit_shape(arguments.masks, target, **steps)


if __name__ == "__main__":
    main()
