"""Task of the ingest flow."""

import os
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.blocks.system import Secret
from prefect.logging import get_run_logger

from clothret.data.dataset import open_dataset
from clothret.data.ingest import ingest
from clothret.lake.storage import open_storage
from clothret.settings import Settings
from tasks.artifacts import artifact_key, publish_report, publish_table
from tasks.failures import explained
from tasks.progress import Progress
from tasks.reports import ingest_markdown


@task(name="ingest-dataset", task_run_name="ingest-{name}")
def ingest_dataset(
    source: str, name: str, password_env: str, password_secret: str | None, lake: str | None
) -> dict[str, Any]:
    """Ingest a DeepFashion2 source; the contract's JSON of `clothret ingest`."""

    def password() -> str | None:
        if password_secret is not None:
            block = Secret.load(password_secret)
            assert isinstance(block, Secret), "called outside of an event loop"
            return str(block.get())
        return os.environ.get(password_env)

    storage = open_storage(Settings.load(lake=lake).lake)
    with (
        explained(f"ingest of {name}", f"clothret ingest {source} --name {name}", "ingest", name),
        Progress(artifact_key("ingest", name), f"ingest {name}", unit="steps") as progress,
    ):
        report = ingest(
            source,
            storage,
            name,
            password=password,
            on_progress=lambda what, done, total: progress(done, total, what),
        )
    result = report.to_dict()
    state = "unchanged" if result["cached"] else "new"
    get_run_logger().info("%s version %s: %s", name, result["version"], state)
    title = f"{name} version {result['version']}"
    rows = [{"split": split, **counts} for split, counts in result["splits"].items()]
    publish_table(rows, artifact_key("dataset", name), title)
    text = ingest_markdown(result, left_out(open_dataset(storage, name).rejected()))
    publish_report(text, artifact_key("report", name), title)
    return result


def left_out(rejected: pa.Table) -> list[dict[str, Any]]:
    """Rows of split, reason, count, and one example; most frequent first."""
    counted = rejected.group_by(["split", "reason"]).aggregate(
        [("file_name", "count"), ("file_name", "min")]
    )
    rows = [
        {
            "split": row["split"],
            "reason": row["reason"],
            "garments": row["file_name_count"],
            "e.g. in": row["file_name_min"],
        }
        for row in counted.to_pylist()
    ]
    return sorted(rows, key=lambda row: -row["garments"])
