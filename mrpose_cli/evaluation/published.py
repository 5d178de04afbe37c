"""Published figures of a checkpoint beside the measured one, and whether the conditions are the same."""

from __future__ import annotations

from mrpose_cli.evaluation.report import BoxConditions, CocoFigures, Conditions, PckFigures, Published
from mrpose_cli.weights.manifest import Metric, PoseEntry

# How the manifest calls what the codecs do.
_DECODERS = {
    "quarter": "quarter offset",
    "msra": "MSRA",
    "dark": "DARK",
    "udp": "UDP",
    "megvii": "Megvii",
    "second-peak": "second peak",
    "simcc": "SimCC",
}
# The file of detections that the authors of SimpleBaseline pass around, of a detector with 56.4 AP.
_DETECTIONS = "COCO_val2017_detections_AP_H_56_person.json"
_BOXES = {"ground truth": "ground truth", "centre and scale": "annotated centre and scale"}


def compare_published(
    entry: PoseEntry, conditions: Conditions, figures: CocoFigures | PckFigures
) -> tuple[Published, ...]:
    """Compare with every published figure of the same kind.

    Args:
        entry: The checkpoint's.
        conditions: Of the run.
        figures: What was measured.
    """
    metric, measured = _measured(figures)
    if measured is None:
        return ()
    return tuple(
        _compare(published, entry, conditions, measured)
        for published in entry.metrics
        if published.metric == metric
    )


def _measured(figures: CocoFigures | PckFigures) -> tuple[str, float | None]:
    if isinstance(figures, CocoFigures):
        return "AP", figures.ap
    return figures.rows[0].name, figures.rows[0].total


def _compare(published: Metric, entry: PoseEntry, conditions: Conditions, measured: float) -> Published:
    differences = []
    dataset = conditions.dataset
    known = published.images_sha256 is not None and published.images_sha256 == dataset.images_sha256
    if dataset.name != published.dataset and not known:
        here = f"{dataset.images} images of {dataset.annotations}"
        differences.append(f"images: {here}, not {published.dataset}")
    boxes = _boxes(conditions.boxes)
    if boxes != published.boxes:
        differences.append(f"boxes: {boxes}, not {published.boxes}")
    model = conditions.model
    if model is not None:
        if published.flip is None:
            differences.append("flip test: not stated there")
        elif model.flip != published.flip:
            differences.append(f"flip test: {_on(model.flip)}, not {_on(published.flip)}")
        decode = _DECODERS.get(model.decode, model.decode)
        if published.decode is None:
            differences.append("decoding: not stated there")
        elif published.decode.lower() != decode.lower():
            differences.append(f"decoding: {decode}, not {published.decode}")
        if model.own_weights and not (entry.sha256 and model.sha256.startswith(entry.sha256)):
            differences.append(f"weights: {model.weights}, not {entry.file}")
    if conditions.suppression not in (None, _SUPPRESSION):
        differences.append(f"suppression: {conditions.suppression}, not {_SUPPRESSION}")
    return Published(
        figure=published.ap,
        measured=measured,
        difference=measured - published.ap,
        dataset=published.dataset,
        boxes=published.boxes,
        flip=published.flip,
        decode=published.decode,
        source=published.source,
        same_conditions=not differences,
        differences=tuple(differences),
    )


_SUPPRESSION = "OKS-NMS 0.9"


def _boxes(boxes: BoxConditions | None) -> str:
    if boxes is None:
        return "not known"
    if boxes.kind == "file":
        return "detector, 56.4 AP" if boxes.name == _DETECTIONS else boxes.name
    return _BOXES.get(boxes.kind, boxes.name)


def _on(value: bool) -> str:
    return "on" if value else "off"
