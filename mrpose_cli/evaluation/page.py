"""A report as one HTML page that needs nothing beside it: no network, no scripts, pictures within."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import replacing
from mrpose_cli.evaluation.compare import NAMES
from mrpose_cli.evaluation.report import (
    Breakdown,
    Calibration,
    CocoFigures,
    Curve,
    JointMistakes,
    Mistakes,
    PckFigures,
    Published,
    Reliability,
    Report,
    Slice,
    WorstPerson,
)
from mrpose_cli.evaluation.svg import Bar, Line, bar_plot, legend, line_plot
from mrpose_cli.evaluation.table import KINDS, PARTS, condition_lines, number, pck_line, share
from mrpose_cli.media.encode import encode


def write_page(path: Path, report: Report, tiles: Sequence[NDArray[np.uint8]]) -> None:
    """Write a report's page.

    Args:
        path: The file.
        report: The report.
        tiles: Pictures of the worst people, as in the report.

    Raises:
        OutputError: it cannot be written.
    """
    style = (files("mrpose_cli.evaluation") / "page.css").read_text(encoding="utf-8")
    title = f"mrpose eval: {_subject(report)}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{style}</style></head><body><main>",
        f"<h1>{escape(_subject(report))}</h1>",
        *_figures(report),
        *(_published(published) for published in report.published),
        *_conditions(report),
        *_curves(report.curves),
        *(_pck(report) if report.pck else ()),
        *(_breakdown(report.breakdown) if report.breakdown else ()),
        *(_mistakes(report.mistakes) if report.mistakes else ()),
        *(_calibration(report.calibration) if report.calibration else ()),
        *_worst(report.worst, tiles),
        f"<footer>mrpose {escape(report.mrpose)}. The same figures and more are in report.json.</footer>",
        "</main></body></html>\n",
    ]
    with replacing(path) as file:
        file.write("\n".join(parts).encode(errors="backslashreplace"))


def _subject(report: Report) -> str:
    conditions = report.conditions
    what = conditions.model.name if conditions.model else ""
    if conditions.predictions:
        what = conditions.predictions.name
    return f"{what} on {conditions.dataset.name or conditions.dataset.annotations}"


def _figures(report: Report) -> Iterable[str]:
    figures = report.figures
    if isinstance(figures, CocoFigures):
        cells = "".join(
            f"<div><b>{number(value, 1)}</b><span>{NAMES[key]}</span></div>"
            for key, value in figures.model_dump(exclude={"kind"}).items()
        )
        return (f'<section class="figures">{cells}</section>',)
    return (_pck_table(figures), *(f"<p>{escape(note)}</p>" for note in figures.notes))


def _pck_table(figures: PckFigures) -> str:
    rows = [[row.name, *(number(getattr(row, part), 2) for part in PARTS)] for row in figures.rows]
    return _table(["", *PARTS], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _published(published: Published) -> str:
    state = "the same" if published.same_conditions else "not the same"
    points = "".join(f"<li>{escape(text)}</li>" for text in published.differences)
    return (
        f'<p class="published">Published: <b>{published.figure:g}</b> ({escape(published.source)}); '
        f"measured {published.measured:.2f}, difference {published.difference:+.2f}. "
        f"The conditions are <b>{state}</b>.</p>" + (f"<ul>{points}</ul>" if points else "")
    )


def _conditions(report: Report) -> Iterable[str]:
    lines = condition_lines(report)
    versions = ", ".join(f"{name} {version}" for name, version in report.conditions.versions.items())
    lines += [("versions", versions), ("command", " ".join(report.conditions.command))]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in lines)
    missing = (*report.conditions.dataset.missing, *report.conditions.dataset.unreadable)
    names = f"<p>Images left out: {escape(', '.join(missing))}</p>" if missing else ""
    return ("<h2>Conditions</h2>", f'<table class="conditions">{rows}</table>{names}')


def _curves(curves: Sequence[Curve]) -> Iterable[str]:
    if not curves:
        return ()
    lines = [
        Line(
            f"OKS {curve.oks:g}",
            [(i / (len(curve.precision) - 1), p) for i, p in enumerate(curve.precision)],
            f"c{index}",
        )
        for index, curve in enumerate(curves)
    ]
    return (
        "<h2>Precision over recall</h2>",
        line_plot("Precision over recall", "recall", "precision", lines),
    )


def _breakdown(breakdown: Breakdown) -> Iterable[str]:
    parts = (
        ("By joint", breakdown.joints),
        ("By size of the person, in pixels of area", breakdown.size),
        ("By number of labelled joints", breakdown.visible),
        ("By overlap (box IoU above 0.1) with other people", breakdown.crowding),
    )
    plots = "".join(
        f"<figure>{bar_plot(title, [_slice(row) for row in rows])}"
        f"<figcaption>{escape(title)}</figcaption></figure>"
        for title, rows in parts
    )
    return ("<h2>AP by part</h2>", f'<div class="plots">{plots}</div>')


def _slice(row: Slice) -> Bar:
    return Bar(row.name, [("c0", (row.ap or 0.0) / 100)], f"{number(row.ap)}  ({row.persons} persons)")


def _pck(report: Report) -> Iterable[str]:
    joints = report.pck[0].joints
    rows = [[joint, *(number(row.joints[joint]) for row in report.pck)] for joint in joints]
    table = _table(["", *(row.name for row in report.pck)], rows)
    return (
        "<h2>Joints near where they belong</h2>",
        f"<p>{escape(pck_line(report))}</p>",
        f"<details><summary>By joint</summary>{table}</details>",
    )


def _mistakes(mistakes: Mistakes) -> Iterable[str]:
    bars = [_joint(row) for row in (mistakes.total, *mistakes.joints)]
    rows = [
        [
            kind.replace("_", " "),
            str(getattr(mistakes.total, kind)),
            number(share(mistakes.total, kind)),
            number(mistakes.mended[kind]) if kind in mistakes.mended else "",
        ]
        for kind in KINDS
    ]
    found = f"{mistakes.persons_found} of {mistakes.persons} persons found, "
    return (
        "<h2>What goes wrong</h2>",
        legend([(f"m-{kind}", kind.replace("_", " ")) for kind in KINDS]),
        '<div class="plots">',
        f"<figure>{bar_plot('Mistakes by joint', bars)}"
        "<figcaption>Shares of the labelled joints, and how many are good</figcaption></figure>",
        _table(["", "joints", "%", "AP without it"], rows),
        f"</div><p>{found}{mistakes.background} predictions are nobody.</p>",
    )


def _joint(row: JointMistakes) -> Bar:
    parts = [(f"m-{kind}", (share(row, kind) or 0.0) / 100) for kind in KINDS]
    return Bar(row.joint.replace("_", " "), parts, f"{number(share(row, 'good'))} %")


def _calibration(calibration: Calibration) -> Iterable[str]:
    plots = "".join(
        f"<figure>{_reliability(name, reliability)}<figcaption>{escape(name)}: error "
        f"{number(reliability.error, 3)}</figcaption></figure>"
        for name, reliability in (
            ("Scores of persons", calibration.persons),
            ("Scores of joints", calibration.joints),
        )
    )
    return (
        "<h2>Do scores mean what they say?</h2>",
        f'<div class="plots">{plots}</div>',
        f"<p>AP if the scores ranked people by their OKS: {number(calibration.ap_ranked_by_oks)}</p>",
    )


def _reliability(name: str, reliability: Reliability) -> str:
    points = [
        (min(bin_.score, 1.0), bin_.outcome)
        for bin_ in reliability.bins
        if bin_.score is not None and bin_.outcome is not None
    ]
    lines = [Line("", [(0, 0), (1, 1)], "ideal"), Line("measured", points, "c0", dots=True)]
    return line_plot(name, "score", reliability.outcome, lines)


def _worst(people: Sequence[WorstPerson], tiles: Sequence[NDArray[np.uint8]]) -> Iterable[str]:
    if not tiles:
        return ()
    pictures = "".join(_picture(person, tile) for person, tile in zip(people, tiles, strict=True))
    return ("<h2>The worst persons</h2>", f'<div class="worst">{pictures}</div>')


def _picture(person: WorstPerson, tile: NDArray[np.uint8]) -> str:
    file = BytesIO()
    encode(file, tile, "JPEG", None)
    data = base64.b64encode(file.getvalue()).decode()
    name = f"{person.image} #{person.annotation}"
    text = f"{name}: annotated, and as estimated; similarity {person.similarity:.2f}"
    height, width = tile.shape[:2]
    return f'<img alt="{escape(text)}" width="{width}" height="{height}" src="data:image/jpeg;base64,{data}">'
