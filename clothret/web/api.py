"""The routes below `/api/v1`."""

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from clothret.catalog import only_catalog
from clothret.query import Garment, Picture, QueryResult, QuerySession, explain, outline
from clothret.web import catalogs
from clothret.web.errors import ApiError
from clothret.web.forms import (
    SearchForm,
    ask_of,
    media_type,
    open_form,
    picture_of,
    read_json,
    search_form,
    text_fields,
)
from clothret.web.schemas import (
    Chosen,
    DetectAnswer,
    ErrorAnswer,
    ExplainBody,
    SearchAnswer,
    SearchBody,
    Where,
)
from clothret.web.service import Service

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 404, 408, 413, 415, 421, 422, 429)
}
PICTURE_FIELD = {"image": {"type": "string", "format": "binary"}}
TEXT_FIELDS = {
    "catalog": {"type": "string"},
    "garment": {"type": "integer", "minimum": 0},
    "box": {"type": "string", "description": "x1,y1,x2,y2 in pixels of the picture"},
    "weights": {"type": "string", "description": "color=1,texture=1,shape=1"},
    "where": {"type": "string"},
    "k": {"type": "integer", "minimum": 1, "default": 10},
}

CatalogQuery = Annotated[
    str | None, Query(max_length=100, description="may be left out where there is one")
]


def _multipart(fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["image"], "properties": PICTURE_FIELD | fields}
    return {"multipart/form-data": {"schema": schema}}


def _json(model: Any) -> dict[str, Any]:
    return {"application/json": {"schema": model.model_json_schema()}}


def json_response(value: Any) -> Response:
    """`value` as JSON, encoded fast."""
    return Response(
        orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )


def router(service: Service) -> APIRouter:
    """The API over `service`."""
    api = APIRouter(prefix="/api/v1", responses=REFUSALS)

    @api.get("/catalogs")
    async def list_all() -> Response:
        """The catalogs of the lake, with the generation each is served from."""
        found = await service.searching(lambda: catalogs.describe_all(service))
        web = service.settings.web
        limits = {"bytes": web.max_upload_bytes, "pixels": web.max_pixels}
        return json_response({"catalogs": found, "limits": limits})

    @api.get("/facets")
    async def facets(
        catalog: CatalogQuery = None, where: Annotated[Where | None, Query()] = None
    ) -> Response:
        """Columns to filter by: values with counts, ranges of numbers and dates."""
        return json_response(
            await service.searching(lambda: catalogs.facets(_session(service, catalog), where))
        )

    @api.get("/samples")
    async def samples(
        catalog: CatalogQuery = None, n: Annotated[int, Query(ge=1, le=24)] = 8
    ) -> Response:
        """A few garments of the catalog to begin with, as different as its categories."""
        return json_response(
            await service.searching(lambda: catalogs.samples(_session(service, catalog), n))
        )

    @api.get("/garments/{garment_id}")
    async def garment(garment_id: str, catalog: CatalogQuery = None) -> Response:
        """A garment of the catalog, its picture, and what else that picture shows."""
        return json_response(
            await service.searching(
                lambda: catalogs.garment(_session(service, catalog), garment_id)
            )
        )

    @api.post(
        "/detect",
        responses={200: {"model": DetectAnswer}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": _multipart({"catalog": {"type": "string"}}),
            }
        },
    )
    async def detect(request: Request) -> Response:
        """The garments of an uploaded picture: boxes, outlines, categories, confidence."""
        async with open_form(request) as form:
            upload, catalog = picture_of(form), text_fields(form).get("catalog")

            def work() -> dict[str, Any]:
                session = _session(service, catalog)
                return _detected(*service.look(session, upload))

            return json_response(await service.detecting(work, request.is_disconnected))

    @api.post(
        "/search",
        responses={200: {"model": SearchAnswer}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": _multipart(TEXT_FIELDS) | _json(SearchBody),
            }
        },
    )
    async def search(request: Request) -> Response:
        """The items that look like a garment: of an uploaded picture, or of the catalog."""
        if media_type(request) == "multipart/form-data":
            async with open_form(request) as form:
                work = _search_upload(service, search_form(form))
                return json_response(await service.detecting(work, request.is_disconnected))
        body = await read_json(request, SearchBody)
        work = _search_kept(service, body)
        return json_response(await service.searching(work, request.is_disconnected))

    @api.post(
        "/explain",
        openapi_extra={"requestBody": {"required": True, "content": _json(ExplainBody)}},
    )
    async def explain_hit(request: Request) -> Response:
        """Why a garment was found: both palettes, outlines laid over each other, both fabrics."""
        body = await read_json(request, ExplainBody)
        work = _explain(service, body)
        return json_response(await service.searching(work, request.is_disconnected))

    return api


def _session(service: Service, catalog: str | None) -> QuerySession:
    """The session of `catalog`, or of the only one there is."""
    return service.sessions.get(catalog or only_catalog(service.storage))


def _search_upload(service: Service, form: SearchForm) -> Callable[[], dict[str, Any]]:
    """The work of a search with an uploaded picture."""

    def work() -> dict[str, Any]:
        session = _session(service, form.catalog)
        session.check(form.ask.where)  # before the picture is opened
        name, picture = service.look(session, form.upload)
        with service.metrics.searches.labels("picture").time():
            result = session.search(picture, form.ask, garment=form.garment, box=form.box)
        return _answer(result) | {"picture": name}

    return work


def _search_kept(service: Service, body: SearchBody) -> Callable[[], dict[str, Any]]:
    """The work of a JSON search, with a garment of the catalog or a picture kept from before."""
    ask = ask_of(body)
    _check_choice(body)

    def work() -> dict[str, Any]:
        session = _session(service, body.catalog)
        if body.garment_id is not None:
            with service.metrics.searches.labels("garment").time():
                result = session.query_garment(
                    body.garment_id, weights=ask.weights, where=ask.where, k=ask.k
                )
            return _answer(result)
        assert body.picture is not None
        session.check(ask.where)
        picture = service.kept(session, body.picture)
        with service.metrics.searches.labels("picture").time():
            result = session.search(picture, ask, garment=body.garment, box=body.box)
        return _answer(result) | {"picture": body.picture}

    return work


def _explain(service: Service, body: ExplainBody) -> Callable[[], dict[str, Any]]:
    _check_choice(body)

    def work() -> dict[str, Any]:
        session = _session(service, body.catalog)
        picture: Picture | None = None
        if body.picture is not None:
            picture = service.kept(session, body.picture)
        return explain(
            session,
            body.hit,
            garment_id=body.garment_id,
            picture=picture,
            garment=body.garment,
            box=body.box,
        ).to_dict()

    return work


def _check_choice(body: Chosen) -> None:
    if (body.garment_id is None) == (body.picture is None):
        raise ApiError(422, "validation", "give either garment_id or picture")
    if body.garment_id is not None and (body.garment is not None or body.box is not None):
        raise ApiError(422, "validation", "garment and box belong to a picture, not to garment_id")


def _answer(result: QueryResult) -> dict[str, Any]:
    answer = result.to_dict()
    for plain_hit, hit in zip(answer["hits"], result.hits, strict=True):
        plain_hit |= catalogs.picture_facts(result.catalog, hit)
    return answer | {"seconds": round(result.seconds, 4)}


def _detected(name: str, picture: Picture) -> dict[str, Any]:
    height, width = picture.size
    garments = picture.garments
    found = [outlined(garment, picture.size) for garment in garments]
    answer = {"picture": name, "width": width, "height": height, "garments": found}
    return answer if found else answer | {"note": "no garment found in the picture"}


def outlined(garment: Garment, size: tuple[int, int]) -> dict[str, Any]:
    """A garment with its outline; `size` is (height, width) of the picture."""
    return garment.to_dict() | {"polygons": outline(garment, size)}
