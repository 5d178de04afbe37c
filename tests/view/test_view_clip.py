"""The page of a clip in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, Page
from PIL import Image
from view_results import FRAMES, GAP, JUMPED, RATE, SIZE, STEP, SWAPPED, clip, figure, served, square

CLOCK = "document.querySelector('.clock').textContent"
READY = "document.querySelector('video')?.readyState >= 2 && !document.querySelector('video').seeking"
MAGENTA = "#ff00ff"


def frame_of(page: Page) -> int:
    return int(page.run(CLOCK).split()[-1])


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return clip(tmp_path)


@pytest.fixture
def thick(result: Path) -> None:
    """Noses in a color of their own, in every frame, drawn large, as people are who fill the picture."""
    path = result
    content = json.loads(path.read_text())
    content["categories"][0]["keypoint_colors"][0] = MAGENTA
    content["annotations"] += [figure(1000 + frame, frame, *square(frame), 1) for frame in GAP]
    for row in content["annotations"]:
        row["bbox"] = [0, 0, *SIZE]
        if row["track_id"] == 2:
            row["keypoint_scores"][0] = 0.1
    path.write_text(json.dumps(content))


@pytest.fixture
def page(result: Path, browser: Browser) -> Iterator[Page]:
    with served(result) as server, browser.open(server.address) as page:
        page.wait(READY)
        page.wait("document.querySelectorAll('.person').length == 2")
        yield page
        assert page.problems() == []
        assert all(address.startswith((server.address, "data:", "blob:")) for address in page.requests())


def box_of(page: Page, selector: str) -> list[float]:
    """Left, top, width and height."""
    script = f"const b = document.querySelector('{selector}').getBoundingClientRect()"
    return list(page.run(f"(() => {{ {script}; return [b.x, b.y, b.width, b.height] }})()"))


def offset(page: Page, folder: Path) -> tuple[float, float]:
    """Where in the screenshot the square and the nose are, in frames of the clip."""
    page.shot(folder / "shot.png")
    box = box_of(page, "video")
    with Image.open(folder / "shot.png") as shot:
        pixels = np.array(shot.convert("RGB")).astype(int)
    left, top, width, height = (round(value) for value in box)
    part = pixels[top : top + height, left : left + width]
    scale = width / SIZE[0]
    rows = part[round((square(0)[1] - 10) * scale) : round((square(0)[1] + 8) * scale)]
    white = (rows > 200).all(-1)
    nose = (rows[..., 0] > 180) & (rows[..., 2] > 180) & (rows[..., 1] < 90)
    assert white.any() and nose.any()
    columns = np.arange(part.shape[1])
    # The outer columns of the square, as limbs cover some of it.
    seen = columns[white.any(0)]
    middle = (seen.min() + seen.max()) / 2
    at = columns[nose.any(0)].mean()
    return tuple((place / scale - square(0)[0]) / STEP for place in (middle, at))


def settled(page: Page, folder: Path, expected: int) -> tuple[float, float]:
    """The same, once the screen shows the frame; on a busy machine that takes a while."""
    for _ in range(100):
        found = offset(page, folder)
        if abs(found[0] - expected) < 0.5:
            break
    return found


@pytest.mark.usefixtures("thick")
def test_every_frame_is_reached_by_key_with_its_skeleton(page: Page, tmp_path: Path) -> None:
    for expected in range(1, 12):
        page.key("ArrowRight")
        page.wait(READY)
        assert frame_of(page) == expected
    assert settled(page, tmp_path, 11) == pytest.approx((11, 11), abs=0.4)
    page.key("ArrowLeft")
    assert frame_of(page) == 10
    page.key("ArrowRight", shift=True)  # a second
    assert frame_of(page) == 10 + RATE
    page.key("End")
    assert frame_of(page) == FRAMES - 1
    assert settled(page, tmp_path, FRAMES - 1) == pytest.approx((FRAMES - 1, FRAMES - 1), abs=0.4)
    page.key("Home")
    assert frame_of(page) == 0


@pytest.mark.usefixtures("thick")
def test_skeletons_are_within_a_frame_of_the_picture_while_it_plays(page: Page, tmp_path: Path) -> None:
    page.key(" ")
    apart: list[float] = []
    page.wait("document.querySelector('video').currentTime > 0.1")
    while len(apart) < 6 and page.run("document.querySelector('video').currentTime") < 1.7:
        seen, drawn = offset(page, tmp_path)
        apart.append(abs(seen - drawn))
    assert len(apart) >= 2
    assert max(apart) <= 1.2, apart  # of a frame; the middle of a disc is known to a fifth
    page.key("Home")  # it goes on from there
    page.wait("document.querySelector('video').currentTime > 0.5")
    assert frame_of(page) > 0.3 * RATE
    page.key(" ")
    assert page.run("document.querySelector('video').paused")
    page.wait(READY)
    page.run("new Promise(done => setTimeout(done, 200))")  # one more frame may come
    seen, drawn = offset(page, tmp_path)
    assert drawn == pytest.approx(seen, abs=0.4) and drawn == pytest.approx(frame_of(page), abs=0.4)


def test_moments_are_jumped_to(page: Page) -> None:
    page.key("]")
    assert frame_of(page) == GAP.start
    assert "not found" in page.run("document.querySelector('.toast').textContent")
    page.key("]")
    assert frame_of(page) == SWAPPED
    page.key("]")
    page.key("]")
    assert frame_of(page) == JUMPED
    page.key("[")
    assert frame_of(page) == SWAPPED + 1


def test_a_click_on_the_timeline_seeks_and_picks_the_track(page: Page) -> None:
    box = box_of(page, ".timeline canvas")
    length = (FRAMES - 1) / RATE
    x = box[0] + 56 + (box[2] - 70) * 0.5 / length
    page.click(x, box[1] + 22 + 16 * 1.5)
    assert abs(frame_of(page) - 0.5 * RATE) <= 1
    assert page.run("document.querySelector('.person[aria-pressed=true] .name').textContent") == "#2"
    page.wait("document.querySelectorAll('.legend span').length == 4")  # knees and elbows


def test_a_ruler_for_meters(page: Page) -> None:
    page.key("m")
    left, top, width, _ = box_of(page, "video")
    scale = width / SIZE[0]
    for x, y in ((20, 30), (50, 70)):
        page.click(left + (x + 0.5) * scale, top + (y + 0.5) * scale)
    said = page.run("document.querySelector('.ruler').textContent")
    found = re.search(r"([\d.]+) px.*--ruler ([\d.,]+)=METERS", said)
    assert found is not None, said
    assert float(found[1]) == pytest.approx(50, abs=0.7)
    assert [float(value) for value in found[2].split(",")] == pytest.approx([20, 30, 50, 70], abs=0.5)
    page.key("m")
    assert page.run("document.querySelector('.ruler').hidden")


def test_plots_are_saved(page: Page, browser: Browser) -> None:
    page.key("Tab")
    page.wait("document.querySelectorAll('.legend span').length == 4")
    page.key("ArrowDown")  # the nose, which has no angle
    page.key("p")  # speed
    page.wait("document.querySelector('.legend').textContent.startsWith('nose 125.0 px/s')")
    page.key("e")
    page.key("E", shift=True)
    csv, svg = browser.downloads / "walk-1-speed.csv", browser.downloads / "walk-1-speed.svg"
    for path in (csv, svg):
        for _ in range(200):
            if path.exists():
                break
            page.run("new Promise(done => setTimeout(done, 20))")
    rows = [line.split(",") for line in csv.read_text().splitlines()]
    csv.unlink()
    assert rows[0] == ["frame_index", "timestamp", "nose_speed"]
    assert [int(row[0]) for row in rows[1:]] == [frame for frame in range(FRAMES) if frame not in GAP]
    assert {float(row[2]) for row in rows[1:]} == {STEP * RATE}
    assert "<svg" in svg.read_text() and "polyline" not in svg.read_text()
    svg.unlink()


def test_flags_of_a_frame_and_of_a_track(page: Page, result: Path) -> None:
    page.key("ArrowRight")
    page.key("Tab")
    page.key("Tab")
    page.key("2")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 1")
    page.key("3", shift=True)
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 2")
    flags = json.loads((result.parent / "flags.json").read_text())["flags"]
    frame = {"image": 2, "file_name": "walk.mp4/000001.jpg", "person": 4}
    assert flags == [
        {"result": "walk.json", "kind": "swapped", **frame, "track": 2},
        {"result": "walk.json", "kind": "nobody", "file_name": "", "track": 2},
    ]
    page.key("ArrowRight")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 1")  # the track's
    page.send("Page.reload")
    page.wait(f"performance.navigation.type == 1 && {READY}")
    page.wait("document.querySelectorAll('.person').length == 2")
    page.key("ArrowRight")
    page.key("Tab")
    page.key("Tab")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 2")


def test_a_codec_that_browsers_do_not_play_is_converted(tmp_path: Path, browser: Browser) -> None:
    path = clip(tmp_path, ".mkv", codec="ffv1", options={})
    with served(path) as server, browser.open(server.address) as page:
        page.wait("document.querySelector('video')?.src.includes('proxy')")
        page.wait(READY)
        for _ in range(3):
            page.key("ArrowRight")
        page.wait(READY)
        assert frame_of(page) == 3
        assert page.run("document.querySelector('video').videoWidth") == SIZE[0]
        assert page.run("document.querySelector('.notice').hidden")


def test_without_the_clip_people_are_drawn_on_black(tmp_path: Path, browser: Browser) -> None:
    path = clip(tmp_path)
    (tmp_path / "walk.mp4").unlink()
    with served(path) as server, browser.open(server.address) as page:
        page.wait("document.querySelectorAll('.person').length == 2")
        assert "--images" in page.run("document.querySelector('.notes').textContent")
        page.key("ArrowRight")
        assert frame_of(page) == 1
        page.key(" ")
        page.wait(f"parseInt({CLOCK}.split(' ').at(-1)) > 5")
        page.key(" ")
