"""`clothret query`: the garments most like one."""

from pathlib import Path
from typing import Any

import click

from clothret.cli.base import common_options, emit, note, settings_for, table
from clothret.errors import InputError
from clothret.types import Weights

Box = tuple[float, float, float, float]


class WeightsType(click.ParamType):
    """`color=1,texture=0.5,shape=0`."""

    name = "weights"

    def convert(self, value: Any, param: Any, ctx: Any) -> Weights:
        if isinstance(value, Weights):
            return value
        try:
            return Weights.parse(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


class BoxType(click.ParamType):
    """`x1,y1,x2,y2` in pixels."""

    name = "box"

    def convert(self, value: Any, param: Any, ctx: Any) -> Box:
        try:
            x1, y1, x2, y2 = (float(part) for part in value.split(","))
        except ValueError:
            x1 = y1 = x2 = y2 = 0.0
        if not (x1 < x2 and y1 < y2):
            self.fail(f"expected x1,y1,x2,y2 with x1 < x2 and y1 < y2, got {value!r}", param, ctx)
        return x1, y1, x2, y2


@click.command()
@click.argument("image", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--garment-id", metavar="ID", help="A garment of the catalog in place of IMAGE.")
@click.option("--catalog", metavar="C", help="Catalog to search; default: the only one.")
@click.option(
    "--garment", type=click.IntRange(min=0), metavar="N", help="Which one; default: the largest."
)
@click.option("--box", type=BoxType(), metavar="X1,Y1,X2,Y2", help="Where the garment is.")
@click.option(
    "--weights",
    type=WeightsType(),
    default=Weights(),
    show_default="color=1,texture=1,shape=1",
    help="What counts, and how much.",
)
@click.option("--where", metavar="SQL", help='Filter, e.g. "price < 40 and in_stock".')
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Hits.")
@click.option(
    "--backend",
    type=click.Choice(["catalog", "torch", "openvino", "openvino-int8"]),
    help="What runs the model on IMAGE; openvino: without torch, so sooner. "
    "Default: query.backend, and that the one that segmented the catalog.",
)
@click.option(
    "--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Picture of the hits."
)
@common_options
def query(
    image: Path | None,
    garment_id: str | None,
    catalog: str | None,
    garment: int | None,
    box: Box | None,
    weights: Weights,
    where: str | None,
    k: int,
    backend: str | None,
    sheet: Path | None,
    lake: str | None,
    as_json: bool,
) -> None:
    """The garments most like the one in IMAGE, by color, texture and shape."""
    if (image is None) == (garment_id is None):
        raise click.UsageError("give an IMAGE or a --garment-id")
    if garment_id is not None and (garment, box, backend) != (None, None, None):
        raise click.UsageError("--garment, --box and --backend go with an IMAGE")
    if garment is not None and box is not None:
        raise click.UsageError("give --garment or --box, not both")
    from clothret.catalog import only_catalog
    from clothret.imaging.decode import read_bytes
    from clothret.lake.storage import open_storage
    from clothret.query import open_session
    from clothret.query.session import Ask

    settings = settings_for(lake, query=None if backend is None else {"backend": backend})
    session = open_session(settings, catalog or only_catalog(open_storage(settings.lake)))
    if garment_id is not None:
        result = session.query_garment(garment_id, weights=weights, where=where, k=k)
    else:
        session.check(where)
        looked = session.look(read_bytes(str(image)), name=str(image))
        result = session.search(looked, Ask(weights, where, k), garment=garment, box=box)
    if result.note:
        note(result.note)
    if sheet is not None:
        result.sheet(sheet)
        note(f"picture: {sheet}")
    emit(result.to_dict(), as_json, lambda: click.echo(_hits_table(result.to_dict()["hits"])))


def _hits_table(hits: list[dict[str, Any]]) -> str:
    rows = [{**hit["metadata"], **hit} for hit in hits]
    columns = ["item_id", "score", "color", "texture", "shape"]
    extra = [name for name in (hits[0]["metadata"] if hits else {}) if name not in columns][:5]
    return table(rows, [*columns, *extra])
