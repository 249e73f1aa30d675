"""Task of the ingest flow."""

import os
from typing import Any

from prefect import task
from prefect.blocks.system import Secret
from prefect.logging import get_run_logger

from clothret.data.ingest import ingest
from clothret.lake.storage import open_storage
from clothret.settings import Settings
from tasks.artifacts import artifact_key, publish_table
from tasks.progress import Progress


@task(name="ingest-dataset")
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
    with Progress(artifact_key("ingest", name), f"ingest {name}", unit="steps") as progress:
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
    rows = [{"split": split, **counts} for split, counts in result["splits"].items()]
    publish_table(rows, artifact_key("dataset", name), f"{name} version {result['version']}")
    return result
