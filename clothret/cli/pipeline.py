"""Commands that run the chain's flows."""

from typing import Any

import click

from clothret.cli.base import absolute, common_options, emit, table
from clothret.cli.flow import run_flow

CATEGORIES = click.Choice(["binary", "df2"])


@click.command()
@click.argument("source", metavar="SRC")
@click.option("--name", default="df2", show_default=True, help="Name of the dataset in the lake.")
@click.option(
    "--password-env",
    default="DF2_PASSWORD",
    show_default=True,
    help="Environment variable that holds the archives' password.",
)
@click.option("--password-secret", help="Prefect Secret block that holds it instead.")
@common_options
def ingest(source: str, lake: str | None, as_json: bool, **options: Any) -> None:
    """Bring DeepFashion2 into the lake.

    SRC is a folder, s3://… or https://… with train.zip, validation.zip and maybe test.zip.
    """
    result = run_flow("ingest", source=absolute(source), lake=lake, **options)

    def people() -> None:
        state = "unchanged" if result["cached"] else f"ingested in {result['seconds']:.1f} s"
        click.echo(f"dataset {result['dataset']} version {result['version']}: {state}")
        rows = [{"split": split, **counts} for split, counts in result["splits"].items()]
        click.echo(table(rows, ["split", "images", "garments", "rejected"]))

    emit(result, as_json, people)


@click.command()
@click.option("--dataset", default="df2", show_default=True)
@click.option("--categories", type=CATEGORIES, default="binary", show_default=True)
@click.option(
    "--preset", default="default", show_default=True, help="Recipe; see docs/training.md."
)
@click.option("--epochs", type=click.IntRange(min=1), help="Overrides the preset's.")
@click.option("--nproc", type=click.IntRange(min=1), help="Processes; default: one per GPU.")
@click.option("--weights", metavar="W", help="Backbone at the start: imagenet, none or a path.")
@click.option("--start", metavar="V", help="Model version whose weights to start from.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was cut off.")
@common_options
def train(lake: str | None, as_json: bool, **options: Any) -> None:
    """Train a detector: a new model version, not yet current."""
    result = run_flow("train", lake=lake, **options)

    def people() -> None:
        click.echo(f"model {result['model']}: {result['epochs']:g} epochs")
        click.echo(f"{result['images_per_second']:.1f} images/s")
        for name, value in result["best"].items():
            click.echo(f"best {name}: {value}")
        click.echo(f"next: clothret evaluate --model {result['model']} --promote")

    emit(result, as_json, people)


@click.command()
@click.option("--model", default="current", show_default=True, metavar="V", help="Model version.")
@click.option("--dataset", default="df2", show_default=True)
@click.option("--split", default="validation", show_default=True)
@click.option("--promote", is_flag=True, help="Make the model current if it is no worse.")
@click.option("--export", metavar="DIR", help="Write DeepFashion2's official result files there.")
@common_options
def evaluate(lake: str | None, as_json: bool, export: str | None, **options: Any) -> None:
    """COCO metrics, DeepFashion2's slices, consumer-to-shop retrieval."""
    result = run_flow("evaluate", lake=lake, export=export and absolute(export), **options)

    def people() -> None:
        click.echo(f"model {result['model']}")
        rows = [
            {"kind": f"{scheme}{kind}", **metrics}
            for scheme, block in (("", result), ("binary ", result["binary"]))
            for kind, metrics in (("bbox", block["bbox"]), ("segm", block["segm"]))
        ]
        click.echo(table(rows, ["kind", "AP", "AP50", "AP75", "APs", "APm", "APl"]))
        for picture in result.get("pictures", []):
            click.echo(f"picture {picture}")
        if "promoted" in result:
            click.echo(result["promotion"])

    emit(result, as_json, people)


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every registered catalog.")
@click.option("--images", metavar="URL", help="Folder or s3://… with the pictures.")
@click.option("--items", metavar="FILE_OR_URL", help="Items table, CSV or Parquet.")
@click.option("--detector", type=click.Choice(["model", "plain", "items"]), help="How to segment.")
@click.option("--model", default="current", show_default=True, metavar="V", help="Model version.")
@click.option("--force", is_flag=True, help="Publish even if a guard objects.")
@common_options
def reindex(
    name: str | None,
    every: bool,
    images: str | None,
    items: str | None,
    lake: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Bring a catalog's index up to date: only what changed is done again."""
    if bool(name) == every:
        raise click.UsageError("give the NAME of a catalog, or --all")
    if every and (images or items):
        raise click.UsageError("--images and --items go with one NAME")
    sources = {"images": images and absolute(images), "items": items and absolute(items)}
    result = run_flow("reindex", catalog=name, lake=lake, **sources, **options)
    reports = result["catalogs"] if every else [result]
    emit(result, as_json, lambda: _print_reindexes(reports))


def _print_reindexes(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        _print_reindex(report)


def _print_reindex(report: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in report["images"].items())
    click.echo(f"catalog {report['catalog']}: generation {report['generation']}")
    click.echo(f"images: {counts}; decoded {report['decoded']}")
    click.echo(f"garments: {report['garments']}; {report['seconds']:.1f} s")


def _stage(name: str) -> click.Command:
    @click.command(name=name)
    @click.argument("catalog", metavar="NAME")
    @click.option("--model", default="current", show_default=True, metavar="V")
    @common_options
    def command(catalog: str, model: str, lake: str | None, as_json: bool) -> None:
        result = run_flow(name, catalog=catalog, model=model, lake=lake)
        rows = [{"what": key, "value": value} for key, value in result.items()]
        emit(result, as_json, lambda: click.echo(table(rows, ["what", "value"])))

    return command


segment = _stage("segment")
segment.help = "Detect the garments of new and changed images; publishes nothing."
features = _stage("features")
features.help = "Describe garments that have no features yet; publishes nothing."
index = _stage("index")
index.help = "Build what the index lacks and publish the next generation."
