"""The whole chain on generated data."""

import time
from typing import Any

from prefect import flow

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.query import query
from flows.reindex import reindex
from flows.train import train
from tasks.demo import (
    CATALOG,
    DATASET,
    PASSWORD_ENV,
    PROCESSES,
    draw_pictures,
    generate_data,
)


@flow(name="demo", flow_run_name="demo")
def demo(lake: str | None = None) -> dict[str, Any]:
    """Generate → ingest → train → evaluate → reindex → query; what is done is reused."""
    started = time.monotonic()
    data = generate_data(lake)
    ingest(data["dataset"], name=DATASET, password_env=PASSWORD_ENV, lake=lake)
    trained = train(dataset=DATASET, preset="demo", nproc=PROCESSES, lake=lake)
    evaluated = evaluate(model=trained["model"], dataset=DATASET, promote=True, lake=lake)
    reindexed = reindex(catalog=CATALOG, images=data["images"], items=data["items"], lake=lake)
    answer = query(catalog=CATALOG, image=data["query"], where="price < 60", k=8, lake=lake)
    pictures = draw_pictures(data, evaluated, lake)
    return {
        "lake": data["folder"],
        "seconds": round(time.monotonic() - started, 1),
        "train": trained,
        "evaluate": evaluated,
        "reindex": reindexed,
        "query": answer,
        "pictures": pictures,
    }
