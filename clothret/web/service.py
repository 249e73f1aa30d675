"""What the routes share: sessions, pools, caches, metrics."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import BinaryIO, TypeVar

from clothret.lake.storage import open_storage
from clothret.query import Detectors, Picture, QuerySession
from clothret.settings import ImageSettings, Settings
from clothret.web.cache import BudgetCache
from clothret.web.errors import ApiError
from clothret.web.images import Images
from clothret.web.metrics import Metrics
from clothret.web.pool import Pool
from clothret.web.sessions import Sessions

Result = TypeVar("Result")
Gone = Callable[[], Awaitable[bool]]


class Service:
    """The state of one application."""

    def __init__(self, settings: Settings) -> None:
        web, image = settings.web, settings.image
        uploads = ImageSettings(
            max_bytes=min(web.max_upload_bytes, image.max_bytes),
            max_pixels=min(web.max_pixels, image.max_pixels),
        )
        self.settings = settings
        self.storage = open_storage(settings.lake)
        self.metrics = Metrics()
        self.sessions = Sessions(
            settings.model_copy(update={"image": uploads}), Detectors(settings.lake)
        )
        self.images = Images(settings)
        self.search_pool = Pool("search", web.search_workers, web.queue)
        self.detect_pool = Pool("detect", web.detect_workers, web.queue)
        self._pictures: BudgetCache[tuple[str, str], Picture] = BudgetCache(
            web.picture_cache, lambda _: 1
        )

    def close(self) -> None:
        """End the threads; work under way is finished first."""
        self.search_pool.close()
        self.detect_pool.close()

    async def searching(self, work: Callable[[], Result], gone: Gone | None = None) -> Result:
        """`work` in a thread of the search pool."""
        return await self.search_pool.run(work, gone)

    async def detecting(self, work: Callable[[], Result], gone: Gone | None = None) -> Result:
        """`work` in a thread of the pool for pictures."""
        return await self.detect_pool.run(work, gone)

    def look(self, session: QuerySession, upload: BinaryIO) -> tuple[str, Picture]:
        """An uploaded picture after detection, and the name under which it is kept a while."""
        data = upload.read()
        name = hashlib.sha256(data).hexdigest()[:32]
        picture = self._pictures.get(self._key(session, name))
        if picture is None:
            started = time.perf_counter()
            picture = session.look(data, name="the picture")
            self.metrics.detections.observe(time.perf_counter() - started)
            self._pictures.put(self._key(session, name), picture)
        return name, picture

    def kept(self, session: QuerySession, name: str) -> Picture:
        """A picture uploaded before.

        Raises:
            ApiError: 404 `picture_gone`: it must be uploaded again.
        """
        picture = self._pictures.get(self._key(session, name))
        if picture is None:
            raise ApiError(404, "picture_gone", "the picture is no longer kept; upload it again")
        return picture

    def exposition(self) -> bytes:
        """The metrics' text, gauges brought up to date."""
        metrics = self.metrics
        metrics.waiting.labels("search").set(self.search_pool.pending)
        metrics.waiting.labels("detect").set(self.detect_pool.pending)
        metrics.cached.labels("thumbnails").set(len(self.images))
        metrics.cached.labels("pictures").set(len(self._pictures))
        metrics.generation.clear()
        for catalog, generation in self.sessions.served().items():
            metrics.generation.labels(catalog, generation).set(1)
        return metrics.text()

    @staticmethod
    def _key(session: QuerySession, name: str) -> tuple[str, str]:
        return session.generation.detector.digest, name
