"""DeepFashion2 archives → images, Arrow annotations and COCO files in the lake."""

from typing import Any

from prefect import flow

from tasks.ingest import ingest_dataset


@flow(name="ingest", flow_run_name="ingest-{name}")
def ingest(
    source: str,
    name: str = "df2",
    password_env: str = "DF2_PASSWORD",
    password_secret: str | None = None,
    lake: str | None = None,
) -> dict[str, Any]:
    """Bring a DeepFashion2 source into the lake; a second run finds everything done.

    Args:
        source: folder, s3://… or https://… with train.zip, validation.zip and maybe test.zip.
        name: what the dataset is called in the lake.
        password_env: environment variable that holds the archives' password.
        password_secret: a Prefect Secret block that holds it instead.
        lake: the lake; None takes the settings'.
    """
    return ingest_dataset(source, name, password_env, password_secret, lake)
