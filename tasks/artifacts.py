"""Artifacts of a run: tables, reports and pictures for the Prefect UI."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run

from tasks.markdown import data_url


def publish_picture(path: Path, key: str, description: str) -> None:
    """Show a local picture in the UI, embedded: the server needs no access to the lake."""
    if in_run():
        create_image_artifact(image_url=data_url(path), key=key, description=description)


def publish_table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Show rows as a table."""
    if in_run():
        create_table_artifact(table=[dict(row) for row in rows], key=key, description=description)


def publish_report(markdown: str, key: str, description: str) -> None:
    """Show a Markdown text."""
    if in_run():
        create_markdown_artifact(markdown=markdown, key=key, description=description)


def run_url() -> str | None:
    """The flow run's page in the Prefect UI; None outside of a run or under a passing server."""
    url = flow_run.ui_url if flow_run.id else None
    return url if url and url.startswith(("http://", "https://")) else None


def in_run() -> bool:
    """Whether a Prefect run is there to hang an artifact on."""
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def artifact_key(*parts: str) -> str:
    """Prefect's form of a key: lowercase letters, digits and dashes."""
    text = "-".join(parts).lower()
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in text).strip("-")
