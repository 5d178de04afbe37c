"""Stating what a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.evaluation.report import BoxConditions, DatasetConditions, ModelConditions
from mrpose_cli.jobs.common import device_name, dtype_name
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.version import __version__
from mrpose_cli.weights.manifest import find_detector
from mrpose_cli.weights.store import WeightsStore

_SCORING = ("numpy", "pycocotools")
_RUNNING = ("torch", "openvino", "onnxruntime", "opencv-python", "pillow", "ultralytics")


def versions(*, models: bool) -> dict[str, str]:
    """Return the versions of everything that affects the figures.

    Args:
        models: Whether models were run.
    """
    found = {"mrpose": __version__, "python": platform.python_version()}
    for name in (*_SCORING, *(_RUNNING if models else ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # for instance opencv-python-headless in its place
            continue
    return found


def model_conditions(models: ModelOptions, pipeline: Pipeline, store: WeightsStore) -> ModelConditions:
    """Describe what estimates the poses."""
    estimator = pipeline.estimator
    entry = estimator.entry
    path = store.resolve(entry, models.weights)
    return ModelConditions(
        name=entry.name,
        weights=path.name,
        sha256=sha256_of(path),
        joints=estimator.skeleton.name,
        own_weights=models.weights is not None,
        input_size=entry.input_size,
        color=entry.color,
        padding=entry.padding,
        decode=entry.codec,
        flip=estimator.flip,
        flip_shift=entry.flip_shift,
        person_score=entry.score,
        dtype=dtype_name(estimator.engine),
        device=device_name(estimator.engine.device),
        engine=estimator.engine.name,
    )


def detector_conditions(models: ModelOptions, pipeline: Pipeline, store: WeightsStore) -> BoxConditions:
    """Describe what finds the people; how many it finds is not known yet."""
    name = models.detector
    path = Path(name) if name.endswith(".pt") else store.resolve(find_detector(name))
    engine = pipeline.detector.engine
    return BoxConditions(
        kind="detector",
        name=path.name if name.endswith(".pt") else name,
        sha256=sha256_of(path),
        persons=0,
        size=models.imgsz,
        classes=models.classes or pipeline.estimator.skeleton.category,
        confidence=models.confidence,
        iou=models.iou,
        engine=engine and engine.name,
        dtype=engine and dtype_name(engine),
    )


def spool_conditions(
    dataset: DatasetConditions, model: ModelConditions, boxes: BoxConditions
) -> dict[str, Any]:
    """Return what the predictions depend on, image by image: with equal values, the poses are equal.

    Which images are run, and how the poses are scored, is not part of it.
    """
    given = {"annotations": dataset.sha256, **model.model_dump(mode="json")}
    where = {f"boxes' {key}": value for key, value in boxes.model_dump(mode="json").items()}
    where.pop("boxes' persons")
    return {**given, **where, "versions": versions(models=True)}
