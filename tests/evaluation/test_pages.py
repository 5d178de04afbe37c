"""The HTML page and the contact sheet: whole, self-contained, and showing what they should."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from numpy.typing import NDArray
from PIL import Image
from report_samples import report

from mrpose_cli.evaluation.page import write_page
from mrpose_cli.evaluation.report import Report, WorstPerson
from mrpose_cli.evaluation.sheet import WorstCase, contact_sheet, draw_case
from mrpose_cli.skeletons import COCO17

LEFT = (255, 140, 0)  # the overlay's color of the left side


def case(folder: Path, *, found: bool = True) -> WorstCase:
    path = folder / "gray.png"
    Image.new("RGB", (400, 300), (90, 90, 90)).save(path)
    truth = np.column_stack([np.linspace(120, 180, 17), np.linspace(60, 240, 17)])
    return WorstCase(
        path=path,
        image=path.name,
        annotation=17,
        box=np.array([100.0, 50.0, 200.0, 250.0]),
        truth=truth,
        labelled=np.arange(17) > 4,
        predicted=truth + np.array([0, 8]) if found else None,
        scores=np.linspace(-0.1, 1, 17) if found else None,
        similarity=0.25,
        skeleton=COCO17,
    )


def halves(tile: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    panels = tile[:-40].astype(int)
    middle = panels.shape[1] // 2
    return panels[:, : middle - 1], panels[:, middle + 1 :]


def orange(panel: NDArray[Any]) -> int:
    return int((np.abs(panel - LEFT).sum(-1) < 60).sum())


def test_a_person_twice(tmp_path: Path) -> None:
    annotated, estimated = halves(draw_case(case(tmp_path)))
    assert annotated.shape == estimated.shape
    assert orange(annotated) > 50 and orange(estimated) > 50
    assert (annotated != estimated).any()
    # Joints of the head have no label and are not drawn; estimated ones are, however unsure.
    assert (annotated[:60] == 90).all()
    assert (estimated[:60] != 90).any()


def test_a_person_that_was_not_found(tmp_path: Path) -> None:
    annotated, estimated = halves(draw_case(case(tmp_path, found=False)))
    assert orange(annotated) > 50
    assert orange(estimated) == 0
    assert estimated.max() == 30  # the picture, darkened


def test_the_sheet_has_a_place_for_everybody(tmp_path: Path) -> None:
    tile = draw_case(case(tmp_path))
    height, width = tile.shape[:2]
    assert contact_sheet([tile]).shape == (height + 16, width + 16, 3)
    sheet = contact_sheet([tile] * 6)
    assert sheet.shape == (2 * (height + 8) + 8, 4 * (width + 8) + 8, 3)
    assert (sheet[8 + height + 8 : 8 + 2 * height + 8, 8 + width + 8 : 8 + 2 * width + 8] == tile).all()


def test_a_picture_that_is_gone_leaves_the_skeletons(tmp_path: Path) -> None:
    gone = case(tmp_path)
    gone.path.unlink()
    annotated, _ = halves(draw_case(gone))
    assert orange(annotated) > 50


class _Checker(HTMLParser):
    """Sees that tags are closed in order, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Report, Path]:
    plain = report(tmp_path)
    person = WorstPerson(image="gray.png", annotation=17, similarity=0.25, labelled=12)
    full = plain.model_copy(update={"worst": (person, person)})
    page = tmp_path / "report.html"
    write_page(page, full, [draw_case(case(tmp_path)), draw_case(case(tmp_path, found=False))])
    return full, page


def test_the_page_needs_nothing_beside_it(whole: tuple[Report, Path]) -> None:
    full, page = whole
    text = page.read_text()
    checker = _Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.references) == 2
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in checker.references)
    assert "script" not in checker.tags and "link" not in checker.tags
    assert not re.search(r"https?://|url\(|@import", text)
    assert "&lt;a&amp;b&gt;.json" in text  # the command line, escaped
    assert checker.tags.count("svg") > 8
    assert full.figures.kind == "coco"
    assert f"<b>{full.figures.ap:.1f}</b><span>AP</span>" in text


def test_a_browser_shows_the_page(whole: tuple[Report, Path], tmp_path: Path, browser: Browser) -> None:
    shot = tmp_path / "shot.png"
    with browser.open(whole[1].as_uri(), 1180, 3000) as page:
        page.wait("document.readyState == 'complete' && [...document.images].every(one => one.complete)")
        page.shot(shot)
    with Image.open(shot) as picture:
        pixels = np.array(picture.convert("RGB")).astype(int)
    assert pixels.shape[:2] == (3000, 1180)

    def seen(color: str) -> int:
        wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        return int((np.abs(pixels - wanted).sum(-1) < 12).sum())

    # Bars, stacked bars and the pictures are there, in the style sheet's colors.
    for color in ("#2f6fdb", "#4c9f70", "#8c4a9e", "#f2a541"):
        assert seen(color) > 300, color
    assert seen("#5a5a5a") > 5000  # the gray photo
