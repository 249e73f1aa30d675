"""The application: routes over one service, behind one entrance."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from clothret import __version__
from clothret.settings import Settings
from clothret.web import api, errors, gate, page
from clothret.web.entrance import Entrance
from clothret.web.errors import ApiError
from clothret.web.forms import read_json
from clothret.web.schemas import LoginBody
from clothret.web.service import Service


def create_app(settings: Settings | None = None) -> FastAPI:
    """The search page and its API over the lake of `settings`.

    The lake is opened at once, catalogs when they are first asked for.

    Raises:
        SettingsError, StorageError: the lake cannot be opened.
    """
    settings = settings or Settings.load()
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="clothret",
        version=__version__,
        summary="Search for clothes that look alike, by color, texture and shape.",
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; `/docs` is our own
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    errors.install(app)
    app.include_router(page.router())
    app.include_router(api.router(service))
    _add_service_routes(app, service)
    app.add_middleware(Entrance, web=settings.web, metrics=service.metrics)
    return app


def _add_service_routes(app: FastAPI, service: Service) -> None:
    web = service.settings.web

    @app.get("/healthz", tags=["service"])
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", tags=["service"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus' text format."""
        text = await run_in_threadpool(service.exposition)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.post("/api/v1/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        given = (await read_json(request, LoginBody)).token
        if web.token is None or not gate.same(given, web.token.get_secret_value()):
            raise ApiError(401, "unauthorized", "this is not the token of the server")
        answer = Response(status_code=204)
        answer.set_cookie(
            gate.COOKIE,
            gate.cookie_value(given),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @app.get(
        "/image/{catalog}/{image_id}",
        tags=["pictures"],
        response_class=Response,
        responses=api.REFUSALS | {200: {"content": {"image/*": {}}}},
    )
    async def image(
        request: Request,
        catalog: str,
        image_id: str,
        size: Annotated[int | None, Query(ge=16, le=1024, description="longer side")] = None,
    ) -> Response:
        """A catalog's picture: the original, or a thumbnail of about `size` pixels."""

        def work() -> Response:
            session = service.sessions.get(catalog)
            if size is None:
                served = service.images.original(session, image_id)
            else:
                served = service.images.thumbnail(session, image_id, size)
            headers = {"ETag": served.etag, "Cache-Control": "private, max-age=600"}
            if page.matches(request, served.etag):
                return Response(status_code=304, headers=headers)
            return Response(served.data, media_type=served.media_type, headers=headers)

        return await service.searching(work, request.is_disconnected)
