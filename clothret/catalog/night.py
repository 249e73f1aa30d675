"""The nightly run: scan, segment, describe, index, publish; each stage alone as well."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clothret.catalog.build import build_generation
from clothret.catalog.detectors import detector_spec
from clothret.catalog.examine import Findings, examine
from clothret.catalog.guards import check_guards
from clothret.catalog.items import read_items
from clothret.catalog.plan import Plan, make_plan, pending
from clothret.catalog.pool import default_workers
from clothret.catalog.report import (
    ReindexReport,
    StageReport,
    count_states,
    failed_rows,
    make_report,
)
from clothret.catalog.shards import Executor, list_shards, run_local
from clothret.catalog.specs import CatalogSpec, add_catalog, find_catalog
from clothret.catalog.work import Job, WorkItem
from clothret.errors import CatalogError, NotFoundError
from clothret.lake.generations import (
    Generation,
    Pointer,
    catalog_path,
    claim,
    lease_path,
    load,
    publish,
)
from clothret.lake.lease import Lease, hold_lease
from clothret.lake.storage import Storage, open_storage
from clothret.settings import Settings

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Night:
    """A run over one catalog, with the right to write.

    Attributes:
        claimed: the pointer, stamped with our token. before: what it points at.
        run_url: where people can look at the run; None: nowhere.
        seconds: time of each stage.
    """

    settings: Settings
    lake: Storage
    spec: CatalogSpec
    lease: Lease
    claimed: Pointer
    before: Generation | None
    model: str
    on_progress: Progress | None
    executor: Executor | None
    run_url: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=lambda: {"decoded": 0, "dropped": 0})

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure a stage; check the lease before it begins."""
        self.lease.check()
        began = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - began, 3)

    def plan(self) -> Plan:
        """Scan the catalog."""
        made = self.before.made_with["detector"] if self.before else {}
        with self.timed("scan"):
            detector = detector_spec(
                self.lake,
                self.settings.segment,
                model=self.model,
                kind=self.spec.detector,
                precision=made.get("precision"),
            )
            return make_plan(
                self.lake,
                self.spec,
                detector,
                self.before,
                max_bytes=self.settings.image.max_bytes,
                on_progress=self.on_progress,
            )

    def work(self, plan: Plan, *, describe: bool, only_detected: bool = False) -> int:
        """Do what is pending; failures go into the plan. Returns how many pictures there were."""
        items = pending(self.lake, plan, describe=describe)
        if only_detected:
            items = [item for item in items if item.found is not None]
        failures: dict[str, str] = {}
        done = 0
        for shard in self._shards(plan, items, describe):
            self.lease.check()
            done += shard.images
            failures |= shard.failures
            self.tally["decoded"] += shard.decoded
            self.tally["dropped"] += shard.dropped
            if self.on_progress:
                self.on_progress("describe" if only_detected else "segment", done, len(items))
        plan.fail(failures)
        return len(items)

    def _shards(self, plan: Plan, items: list[WorkItem], describe: bool) -> Iterator[Any]:
        if not items:
            return
        segment = self.settings.segment
        job = Job(
            lake=self.lake.url,
            images=self.spec.images,
            detector=plan.detector,
            limits=self.settings.image,
            describe=describe,
            seconds=segment.image_seconds,
        )
        size = segment.shard_images
        if self.executor is not None:
            portions = [items[first : first + size] for first in range(0, len(items), size)]
            yield from self.executor(job, plan.folder, portions)
        else:
            workers = segment.workers or default_workers(plan.detector.kind)
            yield from run_local(job, plan.folder, items, workers=workers, shard_images=size)


@contextmanager
def hold_night(
    settings: Settings,
    name: str,
    *,
    model: str = "current",
    on_progress: Progress | None = None,
    executor: Executor | None = None,
    run_url: str | None = None,
) -> Iterator[Night]:
    """Take the catalog's lease and claim its pointer.

    Raises:
        NotFoundError: no such catalog. LeaseError: another run is at it.
    """
    lake = open_storage(settings.lake)
    spec = find_catalog(lake, name)
    with hold_lease(lake, lease_path(name), ttl=settings.lease_seconds) as lease:
        claimed = claim(lake, name, lease)
        before = load(lake, name, claimed.generation) if claimed.generation else None
        yield Night(
            settings, lake, spec, lease, claimed, before, model, on_progress, executor, run_url
        )


def reindex(
    settings: Settings,
    name: str,
    *,
    images: str | None = None,
    items: str | None = None,
    detector: str | None = None,
    force: bool = False,
    model: str = "current",
    on_progress: Progress | None = None,
    executor: Executor | None = None,
    run_url: str | None = None,
) -> ReindexReport:
    """Bring a catalog's index up to date: only what changed is done again.

    Args:
        settings: lake, segmentation, guards, limits.
        name: a registered catalog, or a new one if `images` and `items` are given.
        images, items: where they are from now on.
        detector: "model", "plain" or "items", from now on.
        force: publish even if a guard objects.
        model: version, or "current".
        on_progress: called with (stage, done, all).
        executor: does the portions elsewhere; None: processes of this machine.
        run_url: where people can look at this run; kept in the lineage of what it publishes.

    Raises:
        CatalogError: items table or images folder are not as expected.
        NotFoundError: no such catalog or model.
        LeaseError: another run is at it, or took over.
        ReindexAbortedError: a guard objected.
    """
    began = time.perf_counter()
    register(settings, name, images, items, detector)
    with hold_night(
        settings,
        name,
        model=model,
        on_progress=on_progress,
        executor=executor,
        run_url=run_url,
    ) as night:
        plan = night.plan()
        with night.timed("segment"):
            night.work(plan, describe=True)
        return _finish(night, plan, began, force=force)


def segment_catalog(settings: Settings, name: str, **options: Any) -> StageReport:
    """Detect the garments of new and changed images; publishes nothing. Options as `reindex`."""
    with hold_night(settings, name, **options) as night:
        plan = night.plan()
        with night.timed("segment"):
            pictures = night.work(plan, describe=False)
        _remember_failures(night, plan)
        return _stage_report("segment", night, plan, pictures)


def describe_catalog(settings: Settings, name: str, **options: Any) -> StageReport:
    """Describe garments that have no features yet; publishes nothing. Options as `reindex`."""
    with hold_night(settings, name, **options) as night:
        plan = night.plan()
        with night.timed("describe"):
            pictures = night.work(plan, describe=True, only_detected=True)
        _remember_failures(night, plan, add=True)
        return _stage_report("features", night, plan, pictures)


def index_catalog(
    settings: Settings, name: str, *, force: bool = False, **options: Any
) -> ReindexReport:
    """Build what the index lacks and publish. Options as `reindex`.

    Raises:
        CatalogError: pictures are not segmented or described yet.
    """
    began = time.perf_counter()
    with hold_night(settings, name, **options) as night:
        plan = night.plan()
        plan.fail(_remembered_failures(night, plan))
        missing = pending(night.lake, plan, describe=True)
        if missing:
            failed = {key for key, why in zip(plan.key.to_pylist(), plan.failure) if why}
            missing = [item for item in missing if item.key not in failed]
        if missing:
            raise CatalogError(
                f"catalog {name}: {len(missing)} images are not segmented and described yet, "
                f"among them {missing[0].image}; run `clothret segment` and `clothret features`"
            )
        return _finish(night, plan, began, force=force)


def register(
    settings: Settings,
    name: str,
    images: str | None,
    items: str | None,
    detector: str | None = None,
) -> CatalogSpec:
    """The catalog's specification after changing what is given.

    Sources that cannot be right are not registered: every night would fail on them.

    Raises:
        NotFoundError: a new catalog without `images` and `items`.
        CatalogError: no such folder, or no items table.
    """
    lake = open_storage(settings.lake)
    _check_sources(images, items)
    given = {"images": images, "items": items, "detector": detector}
    changes = {key: str(value) for key, value in given.items() if value is not None}
    try:
        known = find_catalog(lake, name)
    except NotFoundError:
        if images is None or items is None:
            raise NotFoundError(
                f"{lake.url}: no catalog {name!r}; a new one needs --images and --items"
            ) from None
        return add_catalog(lake, name, images, items, detector)
    wanted = replace(known, **changes)
    if wanted != known:
        add_catalog(lake, name, wanted.images, wanted.items, wanted.detector)
    return wanted


def _check_sources(images: str | None, items: str | None) -> None:
    if images is not None and "://" not in images and not Path(images).is_dir():
        raise CatalogError(f"{images}: expected a folder with pictures, found none")
    if items is not None:
        read_items(items)


def _finish(night: Night, plan: Plan, began: float, *, force: bool) -> ReindexReport:
    """Index, check, publish, report."""
    with night.timed("index"):
        generation = build_generation(night.lake, plan)
    if night.run_url is not None:
        lineage = {**generation.lineage, "run_url": night.run_url}
        generation = replace(generation, lineage=lineage)
    published = plan.before is None or plan.before.digest != generation.digest
    with night.timed("check"):
        findings = examine(night.lake, plan, generation) if published else Findings()
        if not force:
            check_guards(plan, generation, findings.recall, night.settings.guard)
    with night.timed("publish"):
        if published:
            publish(night.lake, generation, night.lease, night.claimed)
        for path in list_shards(night.lake, catalog_path(plan.spec.name, "work")):
            night.lake.delete(path)  # all is in segments now
    final = plan.before if plan.before is not None and not published else generation
    return make_report(
        night.lake, plan, final, findings, published, night.tally, night.seconds, began
    )


def _failures_path(plan: Plan) -> str:
    return f"{plan.folder}.failures.json"


def _remember_failures(night: Night, plan: Plan, *, add: bool = False) -> None:
    """Keep the stage's failures for the stages after it."""
    known = _remembered_failures(night, plan) if add else {}
    new = {k: why for k, why in zip(plan.key.to_pylist(), plan.failure) if k and why}
    night.lake.write_bytes(_failures_path(plan), json.dumps(known | new).encode())


def _remembered_failures(night: Night, plan: Plan) -> dict[str, str]:
    data = night.lake.read_or_none(_failures_path(plan))
    return {} if data is None else json.loads(data)


def _stage_report(stage: str, night: Night, plan: Plan, pictures: int) -> StageReport:
    return StageReport(
        stage=stage,
        catalog=plan.spec.name,
        images=count_states(plan),
        pictures=pictures,
        decoded=night.tally["decoded"],
        seconds=round(sum(night.seconds.values()), 3),
        failures=failed_rows(plan),
    )
