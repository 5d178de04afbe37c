"""The sheet of a person's angles over time."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from figure import NAMES, figure
from PIL import Image

from mrpose_cli.drawing.angles import nice_ticks, write_sheet
from mrpose_cli.motion.motion import Motion, analyze
from mrpose_cli.motion.options import Cleaning

SVG = "{http://www.w3.org/2000/svg}"


def moving(*, hole: bool = False) -> Motion:
    track = figure({"left_knee": 40 - 40 * np.cos(np.arange(90) / 10), "right_knee": np.full(90, 10.0)})
    if hole:
        track.joints[40:70, NAMES.index("left_knee")] = np.nan
    return analyze(track, Cleaning())


def drawn(path: Path, motion: Motion) -> tuple[list[str], list[list[tuple[float, float]]]]:
    """Texts, and the places of the orange lines, those of the left side."""
    write_sheet(path, motion)
    root = ElementTree.fromstring(path.read_text())
    lines = [one for one in root.iter(f"{SVG}polyline") if one.get("stroke") == "#d96f00"]
    points = [(one.get("points") or "").split() for one in lines if one.get("stroke-width") == "1.6"]
    places = [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line)] for line in points]
    return [one.text or "" for one in root.iter(f"{SVG}text")], places


def test_svg_has_a_panel_a_joint_and_breaks_lines_where_nothing_is_known(tmp_path: Path) -> None:
    texts, whole = drawn(tmp_path / "a<b>.person1.svg", moving())
    panels = [text.removesuffix(" (°)") for text in texts if text.endswith("(°)")]
    bends = ["Hip flexion", "Knee flexion", "Ankle dorsiflexion", "Shoulder flexion", "Elbow flexion"]
    assert panels == ["Trunk lean, + forward", *bends]
    assert "Speed of the hips (px/s)" in texts and "a<b>, person 1" in texts
    assert [len(places) for places in whole] == [90] * 5
    _, broken = drawn(tmp_path / "b.person1.svg", moving(hole=True))
    assert [len(places) for places in broken] == [40, 20] * 3 + [90] * 2  # hip, knee, ankle; the arm
    ys = [y for _, y in whole[1]]
    assert max(ys) - min(ys) > 50  # the knee's, from 0 to 80


def test_png_is_the_same_sheet(tmp_path: Path) -> None:
    drawn(tmp_path / "a.person1.svg", moving())
    write_sheet(tmp_path / "a.person1.png", moving())
    root = ElementTree.fromstring((tmp_path / "a.person1.svg").read_text())
    with Image.open(tmp_path / "a.person1.png") as image:
        assert image.size == (2 * int(root.get("width", "")), 2 * int(root.get("height", "")))
        pixels = np.asarray(image.convert("RGB"))
    for color in ((0xD9, 0x6F, 0x00), (0x16, 0x73, 0xC8), (0x2F, 0x8F, 0x3A)):
        assert (pixels == color).all(2).sum() > 200


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 80.0, [0, 20, 40, 60, 80]),
        (-13.2, 4.0, [-15, -10, -5, 0, 5]),
        (5.0, 5.0, [5.0, 5.0000005]),
        (0.0, 0.3, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)
