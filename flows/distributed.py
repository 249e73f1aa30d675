"""Portions of a reindex over a Ray cluster, where `CLOTHRET_RAY_ADDRESS` names one.

Needs the optional extra `clothret[ray]`. The lake must be reachable from every machine of the
cluster (S3, or one shared folder), and so must the pictures.
"""

from collections.abc import Iterable
from typing import Any

from prefect import flow, task

from clothret.catalog.shards import Executor, ShardDone, run_shard
from clothret.catalog.work import Job, WorkItem
from clothret.errors import SettingsError
from clothret.settings import Settings


@task(name="shard", retries=1, retry_delay_seconds=10)
def shard(job: Job, folder: str, items: list[WorkItem]) -> ShardDone:
    """Segment and describe one portion, on whatever machine Ray chose."""
    return run_shard(job, folder, items)


def ray_executor(settings: Settings) -> Executor | None:
    """Runs portions on the configured Ray cluster; None where none is configured.

    Raises:
        SettingsError: a cluster is configured, and prefect-ray is not installed.
    """
    if settings.ray_address is None:
        return None
    try:
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise SettingsError(
            "CLOTHRET_RAY_ADDRESS is set: expected the extra clothret[ray], found no prefect_ray"
        ) from None
    runner: Any = RayTaskRunner(address=settings.ray_address)

    @flow(name="shards", task_runner=runner)
    def shards(job: Job, folder: str, portions: list[list[WorkItem]]) -> list[ShardDone]:
        futures = [shard.submit(job, folder, items) for items in portions]
        return [future.result() for future in futures]

    def execute(job: Job, folder: str, portions: list[list[WorkItem]]) -> Iterable[ShardDone]:
        return shards(job, folder, portions)

    return execute
