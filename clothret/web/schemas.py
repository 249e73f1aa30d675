"""What the API takes and gives, as its OpenAPI document states it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clothret.query import MAX_HITS

CatalogName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
GarmentId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}-[0-9]{1,6}$")]
PictureName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Where = Annotated[str, StringConstraints(max_length=10_000)]
Side = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Strict(BaseModel):
    """Unknown names are refused: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class WeightsBody(Strict):
    """How much each criterion counts; those left out weigh 0."""

    color: Weight = 0
    texture: Weight = 0
    shape: Weight = 0


class Chosen(Strict):
    """A garment: one of a catalog, or one of a picture uploaded before."""

    catalog: CatalogName | None = Field(None, description="may be left out where there is one")
    garment_id: GarmentId | None = Field(None, description="a garment of the catalog")
    picture: PictureName | None = Field(None, description="name that `detect` gave the picture")
    garment: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        None, description="position among the picture's garments; the largest by default"
    )
    box: tuple[Side, Side, Side, Side] | None = Field(
        None, description="x1, y1, x2, y2 in pixels of the picture, in place of `garment`"
    )


class SearchBody(Chosen):
    """A search with a garment of the catalog or with a picture uploaded before."""

    weights: WeightsBody | str | None = Field(
        None, description='all 1 by default; also as "color=1,texture=0.5"'
    )
    where: Where | None = Field(None, description="one SQL boolean expression over the metadata")
    k: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10


class ExplainBody(Chosen):
    """Why a garment of the catalog was found by a search."""

    hit: GarmentId


class LoginBody(Strict):
    """The server's bearer token, to be kept in a cookie that scripts cannot read."""

    token: Annotated[str, StringConstraints(max_length=1000)]


class GarmentModel(BaseModel):
    """One garment of a picture."""

    box: list[float] = Field(description="x1, y1, x2, y2 in pixels of the picture, upright")
    category: str
    score: float
    garment_id: str | None = None
    polygons: list[list[float]] | None = Field(
        None, description="outlines as x, y, x, y… in pixels of the picture"
    )


class DetectAnswer(BaseModel):
    """The garments of a picture."""

    picture: str = Field(description="name to search with again without another upload")
    width: int
    height: int
    garments: list[GarmentModel]
    note: str | None = None


class HitModel(BaseModel):
    """An item that looks alike."""

    item_id: str
    image: str
    garment_id: str
    score: float
    color: float
    texture: float
    shape: float
    metadata: dict[str, Any]
    image_id: str
    image_url: str
    category: str
    box: list[float]
    palette: list[dict[str, Any]]


class SearchAnswer(BaseModel):
    """As `clothret query --json`, and what a page needs besides."""

    garments: list[GarmentModel]
    garment: int | None
    hits: list[HitModel]
    generation: str
    catalog: str
    weights: dict[str, float]
    seconds: float
    box: list[float] | None = None
    picture: str | None = None
    where: str | None = None
    note: str | None = None


class ErrorDetail(BaseModel):
    """Which refusal, and a sentence for people."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail
