"""`clothret lake`: what the lake holds, whether it is sound, and how to go back."""

from typing import TYPE_CHECKING, Any

import click

from clothret.cli.base import common_options, emit, settings_for, table
from clothret.errors import ArtifactError

if TYPE_CHECKING:
    from clothret.lake.storage import Storage

MEGABYTE = 1e6


@click.group()
def lake() -> None:
    """Generations, models and datasets: list, check, point back, clean."""


def _storage(url: str | None) -> "Storage":
    from clothret.lake.storage import open_storage

    return open_storage(settings_for(url).lake)


@lake.command()
@common_options
def ls(lake: str | None, as_json: bool) -> None:
    """List catalogs with their generations, models and datasets."""
    from clothret.lake.generations import history, read_pointer
    from clothret.lake.models import ModelRegistry

    storage = _storage(lake)
    generations = []
    for name in storage.folders("catalogs"):
        current = read_pointer(storage, name).generation
        for generation in history(storage, name):
            files = generation.files().values()
            row: dict[str, Any] = {"catalog": name, "generation": generation.id}
            row |= {"current": generation.id == current, "created": generation.created}
            row |= {"segments": len(generation.segments), "counts": generation.counts}
            generations.append(row | {"bytes": sum(file.size for file in files)})
    registry = ModelRegistry(storage)
    result: dict[str, Any] = {
        "generations": generations,
        "models": registry.versions(),
        "current_model": registry.current(),
        "datasets": storage.folders("datasets"),
    }

    def people() -> None:
        shown = [
            {
                **row,
                "current": "*" if row["current"] else "",
                "garments": row["counts"].get("garments"),
                "MB": round(row["bytes"] / MEGABYTE, 1),
            }
            for row in generations
        ]
        columns = ["catalog", "generation", "current", "garments", "segments", "MB", "created"]
        click.echo(table(shown, columns))
        click.echo(f"models    {', '.join(result['models']) or 'none'}")
        click.echo(f"current   {result['current_model'] or 'none'}")
        click.echo(f"datasets  {', '.join(result['datasets']) or 'none'}")

    emit(result, as_json, people)


@lake.command()
@common_options
def verify(lake: str | None, as_json: bool) -> None:
    """Check every file's digest; exit code 1 if one is wrong."""
    from clothret.data.dataset import open_dataset
    from clothret.lake import upkeep

    storage = _storage(lake)
    wrong = upkeep.verify(storage)
    for name in storage.folders("datasets"):
        wrong += open_dataset(storage, name).verify()
    emit(
        {"ok": not wrong, "wrong": wrong}, as_json, lambda: click.echo("\n".join(wrong) or "sound")
    )
    if wrong:
        raise ArtifactError(f"{len(wrong)} files of {storage.url} are missing or damaged")


@lake.command()
@click.argument("catalog")
@click.option("--generation", metavar="ID", help="Where to; default: the one before the current.")
@common_options
def rollback(catalog: str, generation: str | None, lake: str | None, as_json: bool) -> None:
    """Point a catalog back at an earlier generation."""
    from clothret.lake import generations

    result = generations.rollback(_storage(lake), catalog, generation)
    emit(
        {"catalog": catalog, "generation": result.id},
        as_json,
        lambda: click.echo(f"{catalog}: {result.id} is current"),
    )


@lake.command()
@click.option("--keep", type=click.IntRange(min=1), default=3, show_default=True, help="Newest.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=86400.0,
    show_default=True,
    help="Seconds; younger files stay.",
)
@common_options
def gc(keep: int, grace: float, lake: str | None, as_json: bool) -> None:
    """Delete what no kept generation needs."""
    from clothret.lake import upkeep

    report = upkeep.gc(_storage(lake), keep=keep, grace=grace)

    def people() -> None:
        click.echo(f"deleted {len(report.deleted)} files, {report.bytes / MEGABYTE:.1f} MB")
        for name, holder in report.busy.items():
            click.echo(f"left alone: {name}: {holder}")

    emit(report.to_dict(), as_json, people)
