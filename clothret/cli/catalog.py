"""`clothret catalog`: what the nightly reindex covers."""

import csv
from pathlib import Path

import click

from clothret.cli.base import absolute, common_options, emit, settings_for, table


@click.group()
def catalog() -> None:
    """Register the catalogs that the nightly reindex covers."""


@catalog.command()
@click.argument("name")
@click.option("--images", required=True, metavar="URL", help="Folder or s3://… with the pictures.")
@click.option("--items", required=True, metavar="FILE_OR_URL", help="Items table, CSV or Parquet.")
@click.option("--detector", type=click.Choice(["model", "plain", "items"]), help="How to segment.")
@common_options
def add(
    name: str, images: str, items: str, detector: str | None, lake: str | None, as_json: bool
) -> None:
    """Register a catalog, or change where its pictures and items are."""
    from clothret.catalog import add_catalog
    from clothret.lake.storage import open_storage

    storage = open_storage(settings_for(lake).lake)
    spec = add_catalog(storage, name, absolute(images), absolute(items), detector)
    result = spec.to_dict()
    emit(result, as_json, lambda: click.echo(f"catalog {name}: {spec.images}, {spec.items}"))


@catalog.command("table")
@click.argument("images", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def table_(images: Path, out: Path, lake: str | None, as_json: bool) -> None:
    """Write an items table for a folder of pictures that has none: every picture is an item.

    Add columns to it as you like: price, brand, anything you want to filter by.
    """
    from clothret.catalog import picture_rows

    if out.exists():
        raise click.UsageError(f"{out} is there already")
    rows = picture_rows(images)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "image"])
        writer.writerows(rows)
    emit(
        {"items": len(rows), "table": str(out)},
        as_json,
        lambda: click.echo(f"{out}: {len(rows)} items"),
    )


@catalog.command()
@common_options
def ls(lake: str | None, as_json: bool) -> None:
    """List the registered catalogs."""
    from clothret.catalog import list_catalogs
    from clothret.lake.storage import open_storage

    rows = [spec.to_dict() for spec in list_catalogs(open_storage(settings_for(lake).lake))]
    emit(
        {"catalogs": rows},
        as_json,
        lambda: click.echo(table(rows, ["name", "images", "items"])),
    )


@catalog.command()
@click.argument("name")
@common_options
def remove(name: str, lake: str | None, as_json: bool) -> None:
    """Forget a catalog; its generations go with the next `clothret lake gc`."""
    from clothret.catalog import remove_catalog
    from clothret.lake.storage import open_storage

    remove_catalog(open_storage(settings_for(lake).lake), name)
    emit({"removed": name}, as_json, lambda: click.echo(f"removed {name}"))
