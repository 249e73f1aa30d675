"""`clothret demo` and `clothret synth`: the chain on generated data, and the data alone."""

import os
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from clothret.cli.base import common_options, emit, note, table
from clothret.cli.flow import run_flow

NEXT = (
    "clothret serve --lake {lake}      the search page",
    "clothret up --lake {lake}         Prefect: schedules, runs, reports",
    "clothret reindex shop --images FOLDER --items TABLE --lake {lake}      your own pictures",
)


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--images", default=1000, show_default=True, help="Street pictures, 4:1 split.")
@click.option("--items", default=300, show_default=True, help="Items of the catalog.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@common_options
def synth(out: Path, images: int, items: int, seed: int, lake: str | None, as_json: bool) -> None:
    """Generate DeepFashion2-format data and a catalog in OUT (password: clothret)."""
    from clothret.synth import generate

    with tqdm(desc="generate", unit=" pictures", disable=None, leave=False) as bar:

        def progress(done: float, total: float, message: str = "") -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = generate(
            out,
            images=images,
            items=items,
            seed=seed,
            workers=os.cpu_count() or 1,
            on_progress=progress,
        )
    rows = [{"what": key, "value": value} for key, value in report.to_dict().items()]
    emit(report.to_dict(), as_json, lambda: click.echo(table(rows, ["what", "value"])))


@click.command()
@common_options
def demo(lake: str | None, as_json: bool) -> None:
    """Generate, ingest, train, evaluate, reindex and query: the whole chain, in minutes."""
    note("clothret demo: generate → ingest → train → evaluate → reindex → query")
    result = run_flow("demo", lake=lake)
    emit(result, as_json, lambda: _print_demo(result))


def _print_demo(result: dict[str, Any]) -> None:
    evaluated, reindexed, answer = result["evaluate"], result["reindex"], result["query"]
    click.echo(
        f"\nDetector {evaluated['model']} on pictures it never saw: "
        f"box AP {evaluated['binary']['bbox']['AP']:.3f}, "
        f"mask AP {evaluated['binary']['segm']['AP']:.3f}"
    )
    click.echo(
        f"Catalog {reindexed['catalog']}: {reindexed['images']['seen']} pictures, "
        f"{reindexed['garments']} garments, {reindexed['decoded']} decoded\n"
    )
    rows = [{**hit["metadata"], **hit} for hit in answer["hits"]]
    click.echo(
        table(rows, ["item_id", "score", "color", "texture", "shape", "label", "price"])
        + "\n\nPictures, worth a look:"
    )
    for picture in result["pictures"]:
        click.echo(f"  {picture}")
    click.echo(f"\nDone in {result['seconds']:.0f} s. What next:")
    for line in NEXT:
        click.echo(f"  {line.format(lake=result['lake'])}")
