"""``mrpose bench``: what is asked for, what was measured, and what is to be said of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from mrpose_cli.cores import cores
from mrpose_cli.errors import Message, parameter
from mrpose_cli.jobs.common import device_name
from mrpose_cli.jobs.evaluate.conditions import versions
from mrpose_cli.jobs.images.plan import ImageReport
from mrpose_cli.pipeline.factory import resolve_device
from mrpose_cli.pipeline.options import Dtype, ModelOptions
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.precision import computes_bf16

_WORTH_A_FLAG = 1.1  # times as fast as what runs without flags
_NOISY = 1.5  # slowest round over fastest
FRAME = (480, 640)  # what detectors are shown: height and width

Part = Literal["pose", "detector"]


@dataclass(frozen=True, slots=True)
class BenchJob:
    """Options of one run of ``mrpose bench``.

    Attributes:
        models: The networks; an engine or a type other than ``"auto"`` is the only one that is measured.
        images: A folder, a glob or another input of photos; None for made-up pictures.
        batches: Images per pass: crops, and frames of the detector.
        rounds: How many turns each variant has.
        seconds: How long a turn lasts at least.
    """

    models: ModelOptions
    images: str | None
    batches: Mapping[Part, Sequence[int]]
    rounds: int
    seconds: float

    @property
    def without_flags(self) -> ModelOptions:
        """The same networks, run by what mrpose takes by itself."""
        return replace(self.models, engine="auto", dtype="auto", batch_size=None, frame_batch=None)


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one variant.

    Attributes:
        part: ``"pose"`` is normalization, network and decoding of crops, ``"detector"`` letterbox, network
            and NMS of frames.
        engine: As ``--engine`` calls it.
        dtype: As ``--dtype`` calls it.
        device: Where it ran.
        batch: Images per pass.
        auto: Whether this is what runs without flags.
        pixels: Mean distance of its joints, or sides of boxes, from those of ``reference``, in pixels of the
            crop or frame; only those that the reference is confident of. None where images are made up.
        pixels_p95: The 95th percentile of that.
        lost: The share of the reference's boxes that it does not find.
        reference: What computed the reference in float32.
        peak_mb: Peak GPU memory in MB; None where that is not known.
        rounds: Milliseconds per image in each round.
    """

    part: Part
    engine: str
    dtype: Dtype
    device: str
    batch: int
    auto: bool
    pixels: float | None
    pixels_p95: float | None
    lost: float | None
    reference: str
    peak_mb: float | None
    rounds: list[float] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What users call the part."""
        return "pose network" if self.part == "pose" else "detector"

    @property
    def ms(self) -> float:
        """Milliseconds per image, the median of the rounds."""
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The results of a benchmark; ``whole_run`` is `mrpose image` on the photos, without overlays."""

    conditions: dict[str, Any]
    rows: list[Row]
    whole_run: ImageReport | None
    notes: list[Message]


def as_json(report: BenchReport) -> dict[str, Any]:
    """Convert the report for ``mrpose bench --json``."""
    whole = report.whole_run
    return {
        "conditions": report.conditions,
        "rows": [{**asdict(row), "ms": row.ms, "per_second": 1e3 / row.ms} for row in report.rows],
        "whole_run": whole
        and {
            "photos": len(whole.rows),
            "persons": whole.persons,
            "seconds": whole.seconds,
            "stages": whole.stages,
            "failures": dict(whole.failures),
        },
        "notes": [note.as_flags for note in report.notes],
    }


def conditions(job: BenchJob, auto: Pipeline) -> dict[str, Any]:
    """Return what was measured on, with what and when, for the JSON."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "device": device_name(resolve_device(job.models.device)),
        "system": platform.platform(),
        "versions": versions(models=True),
        "model": auto.estimator.entry.name,
        "input_size": list(auto.estimator.entry.input_size),
        "flip_test": auto.estimator.flip,
        "detector": auto.detector.name,
        "frame_size": list(FRAME),
        "pictures": job.images or "made up",
        "rounds": job.rounds,
        "seconds": job.seconds,
    }


def _cpu() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def left_out(job: BenchJob) -> Iterator[Message]:
    """Yield what is not measured unless a flag asks for it."""
    place = resolve_device(job.models.device)
    if job.models.dtype == "auto" and not computes_bf16(place):
        kind = "CPU" if place.type == "cpu" else "GPU"
        yield Message(
            f"bf16 is left out, which this {kind} only emulates; {parameter('dtype')} bf16 measures it"
        )


def advice(rows: Sequence[Row]) -> Iterator[Message]:
    """Yield how far the figures can be trusted, and the flags that make a network clearly faster."""
    spread = median(max(row.rounds) / min(row.rounds) for row in rows)
    if spread > _NOISY:
        yield Message(
            f"the machine was busy: rounds of a row differ by a factor of {spread:.1f}; do it again"
        )
    for usual in (row for row in rows if row.auto):
        gain, best = 0.0, usual
        for row in (row for row in rows if row.part == usual.part):
            gains = sorted(before / after for before, after in zip(usual.rounds, row.rounds, strict=True))
            # Round by round, since other work slows all variants of a round alike.
            if gains[len(gains) // 5] > 1 and median(gains) > max(gain, _WORTH_A_FLAG):
                gain, best = median(gains), row
        if best is usual:
            continue
        values: dict[str, Any] = {}
        if (best.engine, best.dtype) != (usual.engine, usual.dtype):
            values = {"engine": best.engine, "dtype": best.dtype}
        if best.batch != usual.batch:
            values["batch_size" if best.part == "pose" else "det_batch"] = best.batch
        flags = " ".join(f"{parameter(name)} {value}" for name, value in values.items())
        yield Message(f"with {flags} the {best.title} is {gain:.2f} times as fast as auto")
