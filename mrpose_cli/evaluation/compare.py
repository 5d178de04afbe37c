"""Several reports side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.report import CocoFigures, Report

# What differs between any two runs and decides nothing.
_IDLE = ("command", "ranks")
_DIGITS = 12  # of a hash


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is the same and what is not.

    Attributes:
        figures: Name of the figure and its value in each report, in percent.
        conditions: Name and values of the conditions that are not the same in all.
        same_people: Whether all were evaluated on the same images and annotations.
    """

    figures: tuple[tuple[str, tuple[float | None, ...]], ...]
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    same_people: bool


def compare_reports(reports: Sequence[Report]) -> Comparison:
    """Compare reports of one kind of figures.

    Raises:
        UsageError: they are of different kinds.
    """
    kinds = {report.figures.kind for report in reports}
    if len(kinds) > 1:
        raise UsageError(f"{' and '.join(sorted(kinds))} figures cannot be compared with each other")
    values = [_figures(report) for report in reports]
    names = list(dict.fromkeys(name for value in values for name in value))
    flat = [_flatten(report.conditions.model_dump(mode="json", exclude=set(_IDLE))) for report in reports]
    keys = list(dict.fromkeys(key for conditions in flat for key in conditions))
    differing = [
        (key, tuple(conditions.get(key, "-") for conditions in flat))
        for key in keys
        if len({conditions.get(key, "-") for conditions in flat}) > 1
    ]
    people = ("dataset.sha256", "dataset.images", "dataset.persons", "dataset.selection", "dataset.missing")
    return Comparison(
        tuple((name, tuple(value.get(name) for value in values)) for name in names),
        tuple(differing),
        not any(key in people for key, _ in differing),
    )


def _figures(report: Report) -> dict[str, float | None]:
    figures = report.figures
    if isinstance(figures, CocoFigures):
        return {NAMES[key]: value for key, value in figures.model_dump(exclude={"kind"}).items()}
    return {
        f"{row.name} {part}": value
        for row in figures.rows
        for part, value in row.model_dump(exclude={"name", "threshold"}).items()
    }


NAMES = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_m": "AP M",
    "ap_l": "AP L",
    "ar": "AR",
    "ar50": "AR50",
    "ar75": "AR75",
    "ar_m": "AR M",
    "ar_l": "AR L",
}


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flatten(item, f"{prefix}{key}."))
        elif isinstance(item, list):
            flat[f"{prefix}{key}"] = ", ".join(map(str, item)) or "-"
        else:
            text = "-" if item is None else str(item)
            flat[f"{prefix}{key}"] = text[:_DIGITS] if key == "sha256" else text
    return flat
