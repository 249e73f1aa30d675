"""A search as a form or as JSON, read into one value."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

from clothret.errors import InputError
from clothret.query import Ask, Box, parse_box
from clothret.types import Weights
from clothret.web.errors import ApiError
from clothret.web.schemas import SearchBody, WeightsBody

Body = TypeVar("Body", bound=BaseModel)

FIELD_BYTES = 64 * 1024
FIELDS = frozenset({"catalog", "garment", "box", "weights", "where", "k"})


@dataclass(frozen=True, slots=True)
class SearchForm:
    """A search with an uploaded picture."""

    upload: BinaryIO
    catalog: str | None
    ask: Ask
    garment: int | None = None
    box: Box | None = None


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def open_form(request: Request) -> AsyncIterator[FormData]:
    """The fields of a multipart form: one file, few short texts; closed with the block.

    Raises:
        ApiError: 400 no such form, 415 another media type.
    """
    if media_type(request) != "multipart/form-data":
        raise ApiError(415, "media_type", "expected multipart/form-data with a file `image`")
    try:
        form = await request.form(max_files=1, max_fields=16, max_part_size=FIELD_BYTES)
    except (MultiPartException, KeyError, UnicodeError, ValueError) as error:
        raise ApiError(400, "form", f"the form cannot be read: {error}") from None
    try:
        yield form
    finally:
        await form.close()


async def read_json(request: Request, model: type[Body]) -> Body:
    """The JSON body as `model`.

    Raises:
        ApiError: 400 no JSON, 415 another media type, 422 not as the model says.
    """
    if media_type(request) != "application/json":
        raise ApiError(415, "media_type", "expected application/json or multipart/form-data")
    try:
        return model.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "json", f"the body is no JSON: {error}") from None
    except ValidationError as error:
        raise ApiError(422, "validation", faults_of(error)) from None


def picture_of(form: FormData) -> BinaryIO:
    """The file `image` of a form.

    Raises:
        ApiError: 422, there is none.
    """
    upload = form.get("image")
    if not isinstance(upload, UploadFile):
        raise ApiError(422, "validation", "image: expected a file")
    return upload.file


def search_form(form: FormData) -> SearchForm:
    """A form's fields, checked.

    Raises:
        ApiError: 422, a field is unknown or malformed.
        InputError: weights, box or `k` out of range.
    """
    unknown = set(form) - FIELDS - {"image"}
    if unknown:
        raise ApiError(422, "validation", f"unknown fields: {sorted(unknown)}")
    texts = text_fields(form)
    return SearchForm(
        upload=picture_of(form),
        catalog=texts.get("catalog"),
        ask=Ask(
            weights=weights_of(texts.get("weights")),
            where=texts.get("where"),
            k=_whole(texts, "k") if "k" in texts else 10,
        ),
        garment=_whole(texts, "garment") if "garment" in texts else None,
        box=parse_box(texts["box"]) if "box" in texts else None,
    )


def text_fields(form: FormData) -> dict[str, str]:
    """The fields that carry text; empty ones count as left out."""
    return {name: value for name, value in form.items() if isinstance(value, str) and value}


def ask_of(body: SearchBody) -> Ask:
    """Weights, filter and number of a JSON search."""
    return Ask(weights=weights_of(body.weights), where=body.where or None, k=body.k)


def weights_of(given: str | WeightsBody | None) -> Weights:
    """Weights as text or object; all 1 where left out.

    Raises:
        InputError: malformed, negative, or all 0.
    """
    if given is None:
        return Weights()
    if isinstance(given, str):
        return Weights.parse(given)
    return Weights(given.color, given.texture, given.shape)


def faults_of(error: ValidationError) -> str:
    """The first faults of a body in one line."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)[:5]
    )


def _whole(texts: Mapping[str, str], name: str) -> int:
    text = texts[name].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InputError(f"{name} must be a whole number from 0, got {text[:20]!r}")
    return int(text)
