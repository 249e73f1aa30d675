"""One open session per catalog, moved to newer generations between queries."""

import logging
import re
import time
from threading import Lock, Thread

from clothret.errors import CatalogError, ClothretError, NotFoundError
from clothret.query import Detectors, QuerySession, open_session
from clothret.settings import Settings

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Sessions:
    """Opens a catalog when it is first asked for; follows its `current` while it serves.

    A query keeps the session it was handed, so a generation published in the middle of it
    changes nothing for it. Safe from many threads.
    """

    def __init__(self, settings: Settings, detectors: Detectors) -> None:
        self._settings = settings
        self._detectors = detectors
        self._open: dict[str, QuerySession] = {}
        self._checked: dict[str, float] = {}
        self._opening = Lock()
        self._following = Lock()

    def get(self, catalog: str) -> QuerySession:
        """The session of a catalog's current generation.

        Raises:
            NotFoundError: no such catalog, or it has no generation yet.
            ArtifactError, StorageError: the lake's files cannot be opened.
        """
        if not NAME.fullmatch(catalog):
            raise NotFoundError(f"no catalog is called {catalog[:100]!r}")
        session = self._open.get(catalog)
        if session is None:
            with self._opening:
                session = self._open.get(catalog)
                if session is None:
                    session = open_session(self._settings, catalog, detectors=self._detectors)
                    _warm(session)
                    self._open[catalog] = session
                    self._checked[catalog] = time.monotonic()
            return session
        return self._newest(catalog, session)

    def served(self) -> dict[str, str]:
        """Catalog → generation, of those open."""
        return {name: session.generation.id for name, session in self._open.items()}

    def _newest(self, catalog: str, session: QuerySession) -> QuerySession:
        """`session` or a newer one; one thread asks the lake, the others go on meanwhile."""
        age = time.monotonic() - self._checked[catalog]
        if age < self._settings.web.follow_seconds or not self._following.acquire(blocking=False):
            return session
        try:
            newest = session.follow()
            if newest is not session:
                log.info("%s: now served from %s", catalog, newest.generation.id)
                _warm(newest)
                self._open[catalog] = newest
        except (NotFoundError, CatalogError):
            del self._open[catalog]
            raise
        except ClothretError as error:
            log.warning("%s: still served from %s: %s", catalog, session.generation.id, error)
            newest = session
        finally:
            self._checked[catalog] = time.monotonic()
            self._following.release()
        return newest


def _warm(session: QuerySession) -> None:
    """Map the vectors' pages beside the first queries."""
    Thread(target=session.generation.index.warm, name="warm", daemon=True).start()
