"""Every refusal as `{"error": {"code", "message"}}` and a status."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from clothret.errors import (
    ArtifactError,
    CatalogError,
    ClothretError,
    FilterError,
    ImageError,
    InputError,
    MaskError,
    NotFoundError,
    StorageError,
)

log = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[ClothretError], int, str], ...] = (
    (FilterError, 400, "filter"),
    (ImageError, 400, "image"),
    (MaskError, 422, "mask"),
    (NotFoundError, 404, "not_found"),
    (CatalogError, 400, "catalog"),
    (InputError, 400, "input"),
    (StorageError, 503, "storage"),
    (ArtifactError, 503, "artifact"),
    (ClothretError, 500, "failed"),
)
"""Error → status and code; the first that fits."""

CODES = {
    400: "input",
    401: "unauthorized",
    404: "not_found",
    405: "method",
    408: "timeout",
    413: "too_large",
    415: "media_type",
    421: "host",
    422: "validation",
    429: "busy",
}


class ApiError(HTTPException):
    """A refusal with a code of its own."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def error_body(code: str, message: str) -> dict[str, Any]:
    """The one shape of every error."""
    return {"error": {"code": code, "message": message}}


def install(app: FastAPI) -> None:
    """Answer every exception of `app` in that shape."""
    app.add_exception_handler(ClothretError, _clothret)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _clothret(request: Request, error: Exception) -> JSONResponse:
    status, code = next((s, c) for kind, s, c in STATUSES if isinstance(error, kind))
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse(error_body(code, str(error)), status)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'][1:]) or fault['loc'][0]}: {fault['msg']}"
        for fault in error.errors()[:5]
    )
    return JSONResponse(error_body("validation", faults), 422)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = error.code if isinstance(error, ApiError) else CODES.get(error.status_code, "http")
    return JSONResponse(error_body(code, str(error.detail)), error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    message = "something went wrong on our side; the server's log has the details"
    return JSONResponse(error_body("internal", message), 500)
