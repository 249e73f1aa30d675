"""The page, its styles and scripts: files of the package, held in memory."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request, Response

from clothret.web.errors import ApiError

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file, plain and compressed."""

    data: bytes
    packed: bytes
    media_type: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """File name → asset, of everything in `clothret/web/static`."""
    folder = resources.files("clothret.web") / "static"
    found = {}
    for entry in folder.iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            data = entry.read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()[:24]}"'
            found[entry.name] = Asset(data, gzip.compress(data, mtime=0), kind, etag)
    return found


def router() -> APIRouter:
    """`/`, `/docs`, `/favicon.ico` and `/static/{name}`."""
    assets = load_assets()
    pages = APIRouter(include_in_schema=False)

    def answer(name: str, request: Request) -> Response:
        asset = assets.get(name)
        if asset is None:
            raise ApiError(404, "not_found", "there is no such file")
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if matches(request, asset.etag):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.media_type, headers=headers)
        return Response(asset.data, media_type=asset.media_type, headers=headers)

    @pages.get("/")
    async def index(request: Request) -> Response:
        return answer("index.html", request)

    @pages.get("/docs")
    async def docs(request: Request) -> Response:
        return answer("docs.html", request)

    @pages.get("/favicon.ico")
    async def favicon(request: Request) -> Response:
        return answer("icon.svg", request)

    @pages.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        return answer(name, request)

    return pages


def matches(request: Request, etag: str) -> bool:
    """Whether the client has the entity already (`If-None-Match`)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in {
        tag.strip().removeprefix("W/") for tag in given.split(",")
    }
