"""Task of the query flow."""

import tempfile
from pathlib import Path
from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from clothret.errors import InputError
from clothret.imaging.decode import read_bytes
from clothret.query import QueryResult, QuerySession, open_session
from clothret.query.session import Ask
from clothret.settings import Settings
from clothret.types import Weights
from tasks.artifacts import artifact_key, publish_picture, publish_report, publish_table
from tasks.failures import explained
from tasks.reports import query_markdown


@task(name="search-catalog", task_run_name="query-{catalog}")
def search_catalog(
    catalog: str,
    image: str | None,
    garment_id: str | None,
    garment: int | None,
    box: tuple[float, float, float, float] | None,
    weights: str,
    where: str | None,
    k: int,
    lake: str | None,
) -> dict[str, Any]:
    """Query a catalog and publish the hits; the contract's JSON of `clothret query`.

    Raises:
        InputError: neither or both of `image` and `garment_id`.
    """
    if (image is None) == (garment_id is None):
        raise InputError("give image or garment_id, one of them")
    asked = f"--garment-id {garment_id}" if garment_id is not None else str(image)
    command = f"clothret query {asked} --catalog {catalog}"
    with explained(f"query of {catalog}", command, "query", catalog):
        session = open_session(Settings.load(lake=lake), catalog)
        ask = Ask(Weights.parse(weights), where, k)
        if garment_id is not None:
            result = session.query_garment(garment_id, weights=ask.weights, where=where, k=k)
        else:
            session.check(where)
            looked = session.look(read_bytes(str(image)), name=str(image))
            result = session.search(looked, ask, garment=garment, box=box)
    get_run_logger().info(
        "%s: %d hits of generation %s", catalog, len(result.hits), result.generation
    )
    _publish(session, result)
    return result.to_dict()


def _publish(session: QuerySession, result: QueryResult) -> None:
    answer = result.to_dict()
    rows = [
        {name: hit[name] for name in ("item_id", "score", "color", "texture", "shape")}
        | {name: str(value) for name, value in hit["metadata"].items()}
        for hit in answer["hits"]
    ]
    title = result.note or f"{len(rows)} items, generation {result.generation}"
    publish_table(rows, artifact_key("hits", session.catalog), title)
    with tempfile.TemporaryDirectory() as folder:
        picture = result.sheet(Path(folder) / "hits.jpg") if rows else None
        text = query_markdown(answer, picture)
        publish_report(text, artifact_key("query", session.catalog), title)
        if picture is not None:
            publish_picture(picture, artifact_key("hits-picture", session.catalog), title)
