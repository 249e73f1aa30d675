"""Artifacts of a run: tables, reports and pictures for the Prefect UI."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run

from clothret.imaging.decode import read_image

PICTURE_SIDE = 1200
"""Longer side of an embedded picture in pixels: readable, and about 200 KB."""


def publish_picture(path: Path, key: str, description: str) -> None:
    """Show a local picture in the UI, embedded: the server needs no access to the lake."""
    if in_run():
        url = f"data:image/jpeg;base64,{_jpeg_base64(path)}"
        create_image_artifact(image_url=url, key=key, description=description)


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


def _jpeg_base64(path: Path) -> str:
    picture = read_image(path, max_side=PICTURE_SIDE)
    _, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return base64.b64encode(encoded.tobytes()).decode()
