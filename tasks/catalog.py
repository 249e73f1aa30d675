"""Tasks of the segment, features, index and reindex flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from clothret.catalog import (
    ReindexReport,
    StageReport,
    describe_catalog,
    index_catalog,
    list_catalogs,
    reindex,
    segment_catalog,
)
from clothret.catalog.shards import Executor
from clothret.lake.storage import open_storage
from clothret.settings import Settings
from tasks.artifacts import (
    artifact_key,
    publish_picture,
    publish_report,
    publish_table,
    run_url,
)
from tasks.progress import Progress


@task(name="list-catalogs")
def registered(lake: str | None) -> list[str]:
    """Names of the catalogs that the nightly run covers."""
    return [spec.name for spec in list_catalogs(open_storage(Settings.load(lake=lake).lake))]


@task(name="segment-images")
def segment_images(catalog: str, model: str, lake: str | None) -> dict[str, Any]:
    """Detect the garments of new and changed images."""
    with _progress("segment", catalog) as progress:
        report = segment_catalog(
            Settings.load(lake=lake), catalog, model=model, on_progress=progress
        )
    return _publish_stage(report)


@task(name="describe-garments")
def describe_garments(catalog: str, model: str, lake: str | None) -> dict[str, Any]:
    """Describe garments that have no features yet."""
    with _progress("features", catalog) as progress:
        report = describe_catalog(
            Settings.load(lake=lake), catalog, model=model, on_progress=progress
        )
    return _publish_stage(report)


@task(name="publish-generation")
def publish_generation(catalog: str, model: str, force: bool, lake: str | None) -> dict[str, Any]:
    """Build what the index lacks and publish."""
    with _progress("index", catalog) as progress:
        report = index_catalog(
            Settings.load(lake=lake),
            catalog,
            model=model,
            force=force,
            on_progress=progress,
            run_url=run_url(),
        )
    return publish_reindex(report, lake)


@task(name="reindex-catalog", task_run_name="reindex-{catalog}")
def reindex_catalog(
    catalog: str,
    images: str | None,
    items: str | None,
    detector: str | None,
    model: str,
    force: bool,
    lake: str | None,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Bring one catalog's index up to date; the contract's JSON of `clothret reindex`."""
    with _progress("reindex", catalog) as progress:
        report = reindex(
            Settings.load(lake=lake),
            catalog,
            images=images,
            items=items,
            detector=detector,
            model=model,
            force=force,
            on_progress=progress,
            executor=executor,
            run_url=run_url(),
        )
    return publish_reindex(report, lake)


@contextmanager
def _progress(stage: str, catalog: str) -> Iterator[Any]:
    with Progress(artifact_key(stage, catalog, "progress"), f"{stage} {catalog}") as progress:
        yield lambda what, done, total: progress(done, total, what)


def _publish_stage(report: StageReport) -> dict[str, Any]:
    result = report.to_dict()
    get_run_logger().info("%s %s: %d decoded", report.stage, report.catalog, report.decoded)
    rows = [{"images": state, "count": count} for state, count in report.images.items()]
    title = f"{report.pictures} pictures to do, {report.decoded} decoded, {report.seconds:.1f} s"
    publish_table(rows, artifact_key(report.stage, report.catalog), title)
    return result


def publish_reindex(report: ReindexReport, lake: str | None) -> dict[str, Any]:
    """Leave a night's report, its failures and its pictures as artifacts."""
    result = report.to_dict()
    get_run_logger().info("%s: generation %s", report.catalog, report.generation)
    publish_report(
        reindex_markdown(result), artifact_key("reindex", report.catalog), report.generation
    )
    if report.failures:
        key = artifact_key("failures", report.catalog)
        publish_table(report.failures, key, f"{report.images['failed']} pictures failed")
    storage = open_storage(Settings.load(lake=lake).lake)
    for number, path in enumerate(report.pictures):
        key = artifact_key("reindex-sample", report.catalog, str(number))
        publish_picture(storage.local_copy(path), key, f"samples of {report.generation}")
    return result


def reindex_markdown(report: dict[str, Any]) -> str:
    """A night's report for people."""
    images = " · ".join(f"{count} {state}" for state, count in report["images"].items())
    stages = " · ".join(f"{stage} {seconds} s" for stage, seconds in report["stages"].items())
    state = "published" if report["published"] else "unchanged, nothing published"
    lines = [
        f"# Reindex of {report['catalog']}",
        f"Generation **{report['generation']}** ({state})",
        "",
        f"- images: {images}",
        f"- decoded: {report['decoded']}; garments: {report['garments']}",
        f"- metadata rows new or changed: {report['metadata_rows']}",
        f"- segments: {report['segments']}; recall against exact search: {report['recall']}",
        f"- time: {report['seconds']} s ({stages})",
    ]
    if report["drift"]:
        lines += ["", "## Drift", ""]
        lines += [f"- {name}: {value}" for name, value in report["drift"].items()]
    return "\n".join(lines)
