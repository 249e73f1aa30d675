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
from tasks.failures import explained
from tasks.progress import Progress
from tasks.reports import reindex_markdown, stage_markdown


@task(name="list-catalogs")
def registered(lake: str | None) -> list[str]:
    """Names of the catalogs that the nightly run covers."""
    return [spec.name for spec in list_catalogs(open_storage(Settings.load(lake=lake).lake))]


@task(name="segment-images", task_run_name="segment-{catalog}")
def segment_images(catalog: str, model: str, lake: str | None) -> dict[str, Any]:
    """Detect the garments of new and changed images."""
    with _stage("segment", catalog) as progress:
        report = segment_catalog(
            Settings.load(lake=lake), catalog, model=model, on_progress=progress
        )
    return _publish_stage(report)


@task(name="describe-garments", task_run_name="features-{catalog}")
def describe_garments(catalog: str, model: str, lake: str | None) -> dict[str, Any]:
    """Describe garments that have no features yet."""
    with _stage("features", catalog) as progress:
        report = describe_catalog(
            Settings.load(lake=lake), catalog, model=model, on_progress=progress
        )
    return _publish_stage(report)


@task(name="publish-generation", task_run_name="index-{catalog}")
def publish_generation(catalog: str, model: str, force: bool, lake: str | None) -> dict[str, Any]:
    """Build what the index lacks and publish."""
    with _stage("index", catalog) as progress:
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
    with _stage("reindex", catalog) as progress:
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
def _stage(stage: str, catalog: str) -> Iterator[Any]:
    """Progress of a stage, and a report on it if it fails."""
    what, command = f"{stage} of {catalog}", f"clothret {stage} {catalog}"
    key = artifact_key(stage, catalog, "progress")
    with explained(what, command, stage, catalog), Progress(key, f"{stage} {catalog}") as progress:
        yield lambda done_what, done, total: progress(done, total, done_what)


def _publish_stage(report: StageReport) -> dict[str, Any]:
    result = report.to_dict()
    get_run_logger().info("%s %s: %d decoded", report.stage, report.catalog, report.decoded)
    title = f"{report.pictures} pictures to do, {report.decoded} decoded"
    publish_report(stage_markdown(result), artifact_key(report.stage, report.catalog), title)
    return result


def publish_reindex(report: ReindexReport, lake: str | None) -> dict[str, Any]:
    """Leave a night's report with its failures and pictures, and the failures as a table."""
    result = report.to_dict()
    get_run_logger().info("%s: generation %s", report.catalog, report.generation)
    storage = open_storage(Settings.load(lake=lake).lake)
    title = f"{report.catalog}: generation {report.generation}"
    pictures = [(storage.local_copy(path), "garments, outlined") for path in report.pictures]
    text = reindex_markdown(result, pictures)
    publish_report(text, artifact_key("reindex", report.catalog), title)
    if report.failures:
        key = artifact_key("failures", report.catalog)
        publish_table(report.failures, key, f"{report.images['failed']} pictures failed")
    for number, (path, _) in enumerate(pictures):
        key = artifact_key("reindex-sample", report.catalog, str(number))
        publish_picture(path, key, f"samples of {report.generation}")
    return result
