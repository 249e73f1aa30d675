"""Portions of a reindex over a Ray cluster, where `CLOTHRET_RAY_ADDRESS` names one.

Needs the optional extra `clothret[ray]`. The lake must be reachable from every machine of the
cluster (S3, or one shared folder), and so must the pictures and, where one is set, the Prefect
server. A model runs on GPUs where the cluster has some.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from prefect import flow, task

from clothret.catalog.shards import Executor, ShardDone, run_shard
from clothret.catalog.work import Job, WorkItem
from clothret.errors import SettingsError
from clothret.settings import Settings

GPU_SHARE = 0.25
"""Of a GPU, for one worker: decoding and describing keep a core busy beside each."""


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
        import ray
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options
    except ImportError:
        raise SettingsError(
            "CLOTHRET_RAY_ADDRESS is set: expected the extra clothret[ray], found no prefect_ray"
        ) from None
    runner: Any = RayTaskRunner(address=settings.ray_address)

    @flow(name="shards", task_runner=runner)
    def shards(job: Job, folder: str, portions: list[list[WorkItem]]) -> Iterator[ShardDone]:
        with remote_options(**resources(job.detector.kind, ray.cluster_resources())):
            futures = [shard.submit(job, folder, items) for items in portions]
        for future in futures:
            yield future.result()

    def execute(job: Job, folder: str, portions: list[list[WorkItem]]) -> Iterable[ShardDone]:
        return shards(job, folder, portions)

    return execute


def resources(detector: str, cluster: dict[str, float]) -> dict[str, float]:
    """What one portion asks Ray for: a core, and a share of a GPU where a model can use one."""
    gpu = detector == "model" and cluster.get("GPU", 0) > 0
    return {"num_cpus": 1, "num_gpus": GPU_SHARE} if gpu else {"num_cpus": 1}
