"""Configuration: arguments > environment (`CLOTHRET_TRAIN__EPOCHS=5`) > `clothret.toml` > defaults.

Only flows, the command line and the web factory build `Settings`; library functions take the
section they need.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from clothret.errors import SettingsError

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A group of settings: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSettings(Section):
    """Limits on pictures, checked from the header before any pixel is decoded."""

    max_bytes: PositiveInt = Field(64 * 2**20, description="bytes of an encoded picture")
    max_pixels: PositiveInt = Field(100_000_000, description="width × height; beyond is a bomb")


class SegmentSettings(Section):
    """Batch segmentation of a catalog."""

    detector: Literal["model", "plain", "items"] = Field(
        "model",
        description="trained model, plain-background segmentation, or boxes/masks of the table",
    )
    backend: Literal["auto", "torch", "openvino", "openvino-int8"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="floats of the model; auto: what is fastest where a catalog's first night "
        "runs, from then on what its last generation was made with, on whatever machine",
    )
    score_threshold: Fraction = Field(0.5, description="detections below are dropped")
    max_garments: PositiveInt = Field(20, description="kept per image, by falling score")
    shard_images: PositiveInt = Field(
        500, description="images per resumable shard: ten seconds of work or more"
    )
    workers: int = Field(0, ge=0, description="processes; 0: one per core")
    image_seconds: PositiveFloat = Field(60.0, description="deadline of one picture in a worker")
    max_side: PositiveInt = Field(
        1024, description="pixels; larger pictures are shrunk before they are segmented"
    )


class GuardSettings(Section):
    """What stops a reindex before it publishes; `--force` overrides."""

    max_failure_rate: Fraction = Field(0.05, description="failed pictures among those decoded")
    failure_floor: int = Field(20, ge=0, description="failures always tolerated (small catalogs)")
    max_loss_rate: Fraction = Field(0.5, description="images that vanished since the last night")
    max_garment_drop: Fraction = Field(0.5, description="drop of garments per image")
    min_recall: Fraction = Field(0.9, description="recall@10 of the new index against a full scan")


class WebSettings(Section):
    """The search page and its HTTP API."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback use a token")
    port: int = Field(8000, ge=0, le=65535)
    token: SecretStr | None = Field(None, description="bearer token every request must carry")
    hosts: tuple[str, ...] = Field(
        (), description="names clients may use in the Host header besides loopback and plain ones"
    )
    max_upload_bytes: PositiveInt = Field(24 * 2**20, description="bytes of one request")
    max_pixels: PositiveInt = Field(
        64_000_000, description="width × height of an upload: what one decoding may cost in memory"
    )
    rate_per_minute: int | None = Field(
        None, ge=0, description="requests per client; None: 600, off on loopback; 0: off"
    )
    search_workers: int = Field(0, ge=0, description="threads that search; 0: one per core")
    detect_workers: PositiveInt = Field(1, description="pictures decoded and segmented at once")
    queue: PositiveInt = Field(256, description="requests that may wait; beyond: 429")
    body_seconds: PositiveFloat = Field(20.0, description="deadline to receive a request's body")
    header_seconds: PositiveFloat = Field(10.0, description="deadline to receive its headers")
    stop_seconds: PositiveInt = Field(10, description="requests under way may finish on a stop")
    follow_seconds: float = Field(
        1.0, ge=0, description="how often the lake is asked for a newer generation"
    )
    thumbnail_cache_bytes: PositiveInt = Field(64 * 2**20)
    picture_cache: PositiveInt = Field(64, description="uploaded pictures kept for more queries")


class QuerySettings(Section):
    """Queries by picture, on the command line and on the page."""

    backend: Literal["catalog", "auto", "torch", "openvino", "openvino-int8"] = Field(
        "catalog",
        description="what runs the catalog's model on a query's picture; catalog: what segmented "
        "the catalog; openvino answers without torch, so in a third of the time from a cold start",
    )


class AlertSettings(Section):
    """Who hears of a failed run, or of a night without one."""

    webhook: str | None = Field(None, description="URL that alerts are posted to as JSON")


class Settings(BaseSettings):
    """Everything that can be configured; `Settings.load` builds it with clear errors."""

    model_config = SettingsConfigDict(
        env_prefix="CLOTHRET_",
        env_nested_delimiter="__",
        toml_file="clothret.toml",
        extra="forbid",
        frozen=True,
    )

    lake: str = Field("./lake", description="folder or s3://bucket/prefix where everything is kept")
    lease_seconds: PositiveFloat = Field(
        60.0, description="a run silent for so long may be replaced by one on another machine"
    )
    ray_address: str | None = Field(None, description="Ray cluster; None: this machine alone")
    image: ImageSettings = ImageSettings()
    segment: SegmentSettings = SegmentSettings()
    guard: GuardSettings = GuardSettings()
    query: QuerySettings = QuerySettings()
    alert: AlertSettings = AlertSettings()
    web: WebSettings = WebSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls, **arguments: Any) -> "Settings":
        """Settings with `arguments` (those that are not None) on top.

        Raises:
            SettingsError: every fault at once, one per line.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}"
                for fault in error.errors()
            )
            raise SettingsError(f"settings: {faults}") from None


def cache_dir() -> Path:
    """Local folder for copies of remote lake files: `CLOTHRET_CACHE` or the user's cache."""
    configured = os.environ.get("CLOTHRET_CACHE")
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clothret"
