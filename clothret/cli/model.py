"""`clothret model`: versions of the detector."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clothret.cli.base import common_options, emit, settings_for, table

if TYPE_CHECKING:
    from clothret.lake.models import ModelRegistry


@click.group()
def model() -> None:
    """List, promote and move trained models."""


def _registry(lake: str | None) -> "ModelRegistry":
    from clothret.lake.models import ModelRegistry
    from clothret.lake.storage import open_storage

    return ModelRegistry(open_storage(settings_for(lake).lake))


@model.command()
@common_options
def ls(lake: str | None, as_json: bool) -> None:
    """List the versions with their figures."""
    registry = _registry(lake)
    current = registry.current()
    rows: list[dict[str, Any]] = [
        {"version": version, "current": version == current, "metrics": registry.metrics(version)}
        for version in registry.versions()
    ]

    def people() -> None:
        shown = [
            {
                "version": row["version"],
                "current": "*" if row["current"] else "",
                "mask AP": _figure(row["metrics"], "segm"),
                "box AP": _figure(row["metrics"], "bbox"),
            }
            for row in rows
        ]
        click.echo(table(shown, ["version", "current", "mask AP", "box AP"]))

    emit({"models": rows}, as_json, people)


def _figure(metrics: dict[str, Any], kind: str) -> float | None:
    """Binary AP of the evaluation recorded last."""
    results = list(metrics.get("evaluations", {}).values())
    return results[-1]["binary"][kind]["AP"] if results else None


@model.command()
@click.argument("version", metavar="V")
@common_options
def promote(version: str, lake: str | None, as_json: bool) -> None:
    """Make a version current."""
    _registry(lake).promote(version)
    emit({"current": version}, as_json, lambda: click.echo(f"current: {version}"))


@model.command()
@click.argument("version", metavar="V")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def export(version: str, file: Path, lake: str | None, as_json: bool) -> None:
    """Write a version as one portable file."""
    _registry(lake).export(version, file)
    emit({"model": version, "file": str(file)}, as_json, lambda: click.echo(f"{version} → {file}"))


@model.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def import_(file: Path, lake: str | None, as_json: bool) -> None:
    """Add a model from a file that `export` wrote."""
    version = _registry(lake).import_(file)
    emit({"model": version}, as_json, lambda: click.echo(f"imported {version}"))
