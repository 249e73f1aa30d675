"""`clothret plan`: what a catalog of a given size needs."""

import click

from clothret.cli.base import common_options, emit, table


@click.command()
@click.option("--items", type=click.IntRange(min=1), required=True, metavar="N", help="Garments.")
@common_options
def plan(items: int, lake: str | None, as_json: bool) -> None:
    """Storage, memory, build and query cost at N garments, measured on this machine."""
    from clothret.features import DIMS
    from clothret.search.capacity import plan_capacity

    result = plan_capacity(items, dims=(DIMS["color"], DIMS["texture"], DIMS["shape"]))
    rows = [{"what": key, "value": value} for key, value in result.items()]
    emit(result, as_json, lambda: click.echo(table(rows, ["what", "value"])))
