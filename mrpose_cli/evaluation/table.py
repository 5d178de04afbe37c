"""A report on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mrpose_cli.evaluation.compare import NAMES, Comparison
from mrpose_cli.evaluation.report import (
    CocoFigures,
    Figure,
    JointMistakes,
    PckFigures,
    Published,
    Report,
    Slice,
)

PARTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "total")
KINDS = ("good", "jitter", "inversion", "swap", "miss", "not_found")


def print_report(console: Console, report: Report) -> None:
    """Print everything but the single joints and bins, which are in the JSON."""
    _print_conditions(console, report)
    if isinstance(report.figures, CocoFigures):
        _print_coco(console, report.figures)
    else:
        _print_pck(console, report.figures)
    for published in report.published:
        _print_published(console, published)
    if report.pck:
        console.print(f"  {pck_line(report)}", highlight=False)
    if report.breakdown:
        _print_breakdown(console, report)
    if report.mistakes:
        _print_mistakes(console, report)
    if report.calibration:
        _print_calibration(console, report)


def print_comparison(console: Console, names: Sequence[str], comparison: Comparison) -> None:
    """Print figures side by side, and what else differs."""
    table = _table("")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for name, values in comparison.figures:
        table.add_row(name, *(number(value, 2) for value in values))
    console.print(table)
    if comparison.conditions:
        table = _table("conditions that differ")
        for name in names:
            table.add_column(name, overflow="fold")
        for name, texts in comparison.conditions:
            table.add_row(name, *texts)
        console.print(table)
    else:
        console.print("  all conditions are the same", highlight=False)


def number(value: Figure, digits: int = 1) -> str:
    """Format a figure; ``-`` if there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def condition_lines(report: Report) -> list[tuple[str, str]]:
    """Describe in words what the figures depend on."""
    conditions = report.conditions
    data, model, boxes = conditions.dataset, conditions.model, conditions.boxes
    images = f"{data.images} of {data.images_in_file} images" if data.images != data.images_in_file else ""
    lines = [
        (
            "dataset",
            f"{data.name or data.annotations}, {images or f'{data.images} images'}, {data.persons} persons, "
            f"sha256 {data.sha256[:12]}" + (f", {data.selection}" if data.selection else ""),
        )
    ]
    if data.sigmas:
        lines.append(("joints", f"{data.joints}, OKS sigmas: {data.sigmas}"))
    if data.missing:
        lines.append(("", f"{len(data.missing)} images are missing and left out"))
    if data.unreadable:
        lines.append(("", f"{len(data.unreadable)} images could not be read and are left out"))
    if conditions.predictions:
        given = conditions.predictions
        lines.append(
            ("results", f"{given.name}, {given.persons} persons, sha256 {given.sha256[:12]}, as they are")
        )
    if model:
        height, width = model.input_size
        lines += [
            ("model", f"{model.name}, {height}x{width}, {model.weights}, sha256 {model.sha256[:12]}"),
            (
                "estimation",
                f"flip test {'on' if model.flip else 'off'}, decoding {model.decode}, {model.engine or ''} "
                f"{model.dtype} on {model.device}, padding {' x '.join(f'{p:g}' for p in model.padding)}",
            ),
        ]
    if boxes:
        where = (
            boxes.kind if boxes.kind in ("ground truth", "centre and scale") else f"{boxes.kind} {boxes.name}"
        )
        extra = f", from {boxes.confidence:g} up" if boxes.confidence is not None else ""
        extra += (
            f", cut as {'in mmpose' if boxes.rule == 'mmpose' else 'by the authors'}" if boxes.rule else ""
        )
        extra += f", {boxes.engine} {boxes.dtype}" if boxes.engine else ""
        lines.append(("boxes", f"{where}, {boxes.persons} persons{extra}"))
    if conditions.suppression:
        lines.append(("suppression", f"{conditions.suppression}, then the best 20 an image"))
    return lines


def _print_conditions(console: Console, report: Report) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in condition_lines(report):
        table.add_row(name, text)
    console.print()
    console.print(table)


def _table(title: str, *numbers: str) -> Table:
    table = Table(title, box=box.SIMPLE_HEAD)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _print_coco(console: Console, figures: CocoFigures) -> None:
    values = figures.model_dump(exclude={"kind"})
    table = Table(box=box.SIMPLE_HEAD)
    for key in values:
        table.add_column(NAMES[key], justify="right")
    table.add_row(*(number(value, 2) for value in values.values()))
    console.print(table)


def _print_pck(console: Console, figures: PckFigures) -> None:
    table = _table("", *PARTS)
    for row in figures.rows:
        table.add_row(row.name, *(number(getattr(row, part), 2) for part in PARTS))
    console.print(table)
    for note in figures.notes:
        console.print(f"  {note}", highlight=False)


def pck_line(report: Report) -> str:
    """Describe the share of joints near where they belong, in words."""
    rows = ", ".join(f"{row.name} {number(row.total)}" for row in report.pck)
    return f"{rows} (share of labelled joints, relative to the longer side of the annotated box)"


def _print_published(console: Console, published: Published) -> None:
    console.print(
        f"  published {published.figure:g} ({published.source}), measured {published.measured:.2f}, "
        f"difference {published.difference:+.2f}; the conditions are "
        f"{'the same' if published.same_conditions else 'not the same:'}",
        highlight=False,
    )
    for difference in published.differences:
        console.print(f"    {difference}", highlight=False)


def _print_breakdown(console: Console, report: Report) -> None:
    assert report.breakdown is not None
    parts: tuple[tuple[str, tuple[Slice, ...]], ...] = (
        ("joints", report.breakdown.joints),
        ("size of the person", report.breakdown.size),
        ("labelled joints", report.breakdown.visible),
        ("overlapping with", report.breakdown.crowding),
    )
    table = _table("broken down by", "persons", "AP", "AR")
    for index, (title, slices) in enumerate(parts):
        if index:
            table.add_section()
        table.add_row(Text(title, "dim"), "", "", "")
        for row in slices:
            table.add_row(f"  {row.name}", str(row.persons), number(row.ap), number(row.ar))
    console.print(table)


def _print_mistakes(console: Console, report: Report) -> None:
    mistakes = report.mistakes
    assert mistakes is not None
    total = mistakes.total
    table = _table("what goes wrong", "joints", "%", "AP without it")
    for kind in KINDS:
        count = getattr(total, kind)
        mended = number(mistakes.mended[kind]) if kind in mistakes.mended else ""
        table.add_row(kind.replace("_", " "), str(count), number(share(total, kind)), mended)
    console.print(table)
    console.print(
        f"  {mistakes.persons_found} of {mistakes.persons} persons found; "
        f"{mistakes.background} predictions are nobody",
        highlight=False,
    )


def share(row: JointMistakes, kind: str) -> Figure:
    """Return a percentage of the labelled joints."""
    return 100 * int(getattr(row, kind)) / row.labelled if row.labelled else None


def _print_calibration(console: Console, report: Report) -> None:
    calibration = report.calibration
    assert calibration is not None
    console.print(
        f"  calibration error {number(calibration.persons.error, 3)} (person score and OKS), "
        f"{number(calibration.joints.error, 3)} (joint score and being near); "
        f"AP if scores ranked people by OKS {number(calibration.ap_ranked_by_oks)}",
        highlight=False,
    )
