"""The page of photos in a real browser."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, Page
from PIL import Image
from view_results import PEOPLE, SAMPLES, clip, many, person, photos, served, write

from mrpose_cli.view.server import Server

TILES = "document.querySelectorAll('.tile:not([hidden])').length"
NAMES = """[...document.querySelectorAll('.tile:not([hidden])')]
    .map(tile => [new DOMMatrix(getComputedStyle(tile).transform), tile.querySelector('.name').textContent])
    .sort(([a], [b]) => a.f - b.f || a.e - b.e).map(([, name]) => name)"""
# How many pixels of the canvas over the photo are drawn on.
DRAWN = """(() => { const c = document.querySelector('.stage canvas');
    const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
    return data.filter((value, place) => place % 4 == 3 && value > 0).length })()"""

# Scroll for 120 frames; milliseconds between them.
SCROLL = """new Promise(done => { const s = document.querySelector('.scroller'), times = [];
    const step = now => { times.push(now); s.scrollTop += 70;
        if (times.length < 120) requestAnimationFrame(step);
        else done(times.slice(1).map((time, place) => time - times[place])) };
    requestAnimationFrame(step) })"""


def put(page: Page, selector: str, value: object, event: str = "input") -> None:
    """Set a field as its user does."""
    page.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
        f" e.dispatchEvent(new Event('{event}')) }})()"
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    photos(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def server(out: Path) -> Iterator[Server]:
    with served(out) as server:
        yield server


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    with browser.open(server.address) as page:
        page.wait("document.querySelectorAll('.tile img.here').length == 5")
        yield page
        assert page.problems() == []
        assert all(address.startswith((server.address, "data:")) for address in page.requests())


def test_five_photos_are_sorted_and_filtered(page: Page, tmp_path: Path) -> None:
    assert page.run(TILES) == 5
    put(page, "select[aria-label=Sort]", "name", "change")
    assert page.run(NAMES) == sorted(PEOPLE)
    page.key("r")
    assert page.run(NAMES) == sorted(PEOPLE, reverse=True)
    put(page, "select[aria-label=Sort]", "count", "change")
    assert page.run(NAMES)[:3] == ["pedestrians1.jpg", "pedestrians2.jpg", "basketball1.png"]
    put(page, "input[aria-label=People]", "2")
    put(page, "input[aria-label='at most']", "6")
    assert page.run(NAMES) == ["pedestrians2.jpg", "basketball1.png"]
    assert page.run("document.querySelector('.shown').textContent") == "2 of 5 photos"
    put(page, "input[aria-label=People]", "")
    put(page, "input[aria-label='at most']", "")
    put(page, "input[aria-label='Joint ≤']", "0.1")
    assert set(page.run(NAMES)) == {"astronaut.png", "basketball1.png"}
    put(page, "input[aria-label='Joint ≤']", "1")
    put(page, "input[type=search]", "PEDES")
    assert page.run(TILES) == 2
    page.shot(tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as shot:
        colors = np.array(shot.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colors, axis=0)) > 1000  # the photos are there


def test_a_photo_with_its_people(page: Page) -> None:
    put(page, "select[aria-label=Sort]", "name", "change")
    page.key("ArrowRight")
    page.key("Enter")
    page.wait("document.querySelector('.panel h2')?.textContent == 'basketball1.png'")
    assert page.run("document.querySelectorAll('.person').length") == 2
    everything = page.wait(DRAWN)
    put(page, "input[aria-label='Joints ≥']", "0.7")
    assert 0 < page.run(DRAWN) < everything
    put(page, "input[aria-label='Joints ≥']", "1")
    page.key("s")
    assert page.run(DRAWN) == 0
    page.key("b")  # boxes
    assert page.run(DRAWN) > 0
    page.key("s")
    page.key("Tab")
    page.key("ArrowDown")
    assert page.run("document.querySelectorAll('.joints tr').length") == 17
    assert page.run("document.querySelector('.joints .chosen').textContent").startswith("nose")
    place = "new DOMMatrix(getComputedStyle(document.querySelector('.stage img')).transform).a"
    before = page.run(place)
    page.key("+")
    assert page.run(place) == pytest.approx(before * 1.25, rel=1e-4)
    page.key("0")
    assert page.run(place) == pytest.approx(before, rel=1e-4)
    page.key("ArrowRight")
    page.wait("document.querySelector('.panel h2').textContent == 'camera.png'")
    page.key("Escape")
    page.wait(f"{TILES} == 5 && !document.querySelector('.stage')")


def test_a_click_picks_the_joint_under_it(page: Page) -> None:
    page.run("location.hash = 'r=0&photo=1'")
    page.wait("document.querySelectorAll('.person').length == 2")
    x, y, _ = PEOPLE["basketball1.png"][0]["keypoints"][9]
    spot = page.run(
        "(() => { const b = document.querySelector('.stage img').getBoundingClientRect(); "
        f"return [b.x + b.width * {x + 0.5} / 640, b.y + b.height * {y + 0.5} / 480] }})()"
    )
    page.click(*spot)
    assert page.run("document.querySelector('.joints .chosen').textContent").startswith("left wrist")
    assert page.run("document.querySelector('.person[aria-pressed=true] .name').textContent") == "1"


def test_flags_are_saved_and_there_after_a_reload(page: Page, server: Server, out: Path) -> None:
    before = (out / "poses.json").read_bytes()
    page.run("location.hash = 'r=0&photo=1'")
    page.wait("document.querySelectorAll('.person').length == 2")
    page.key("Tab")
    for _ in range(3):
        page.key("ArrowDown")
    page.key("1")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 1")
    page.key("2")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 2")
    page.key("4")  # there is only one other person
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 3")
    about = {"result": "poses.json", "image": 2, "file_name": "basketball1.png", "person": 2}
    flags = json.loads((out / "flags.json").read_text())
    assert flags["flags"] == [
        {**about, "kind": "wrong_joint", "joint": "right_eye"}, {**about, "kind": "swapped"},
        {**about, "kind": "same_person", "other": 3},
    ]  # fmt: skip
    page.send("Page.reload")
    page.wait("document.querySelectorAll('.person').length == 2")
    page.key("Tab")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 3")
    assert "⚑" in page.run("document.querySelector('.joints').textContent")
    page.key("2")
    page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 2")
    assert len(json.loads((out / "flags.json").read_text())["flags"]) == 2
    page.key("Escape")
    page.wait("!document.querySelector('.stage')")
    page.run("document.querySelector('.flagchip').click()")
    assert page.run(NAMES) == ["basketball1.png"]
    assert (out / "poses.json").read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["flags.json", "poses.json"]


def test_light_and_dark_and_a_tablet(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.theme(dark=True)
    dark = page.run(ground)
    assert light != dark
    page.key("d")
    assert page.run(ground) == light
    page.resize(820, 1180, touch=True)
    page.wait(f"{TILES} == 5")
    assert page.run("document.documentElement.scrollWidth") <= 820
    page.key("Enter")
    page.wait("document.querySelectorAll('.person').length")
    assert page.run("document.documentElement.scrollWidth") <= 820
    assert page.run("document.querySelector('.stage').clientWidth") > 500
    page.key("?")
    assert page.run("document.querySelectorAll('dialog kbd').length") > 20


HOSTILE = [
    "<script>window.hit=1</script>.png",
    '"><img src=x onerror="window.hit=1">.png',
    "'+window.hit+'.png",
    "a\nb\t\u202egnp.png",
    "%3Cscript%3E.png",
]


def test_hostile_names_do_nothing(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "in").mkdir()
    names = [name.replace("/", "∕") for name in HOSTILE]  # what a file name can hold
    for name in names:
        shutil.copy(SAMPLES / "camera.png", tmp_path / "in" / name)
    shutil.copy(SAMPLES / "camera.png", tmp_path / "secret.png")
    names += ["../secret.png", "<script>window.hit=1</script>", "javascript:window.hit=1"]
    images = [{"id": i, "file_name": name, "width": 512, "height": 512} for i, name in enumerate(names)]
    people = [person(i, i, PEOPLE["camera.png"][0]["keypoints"]) for i in range(len(names))]
    path = write(tmp_path / "out" / "poses.json", images, people, photos="../in")
    content: dict[str, Any] = json.loads(path.read_text())
    category = content["categories"][0]
    category["keypoints"][0] = "<img src=x onerror=window.hit=1>"
    category["name"] = category["supercategory"] = "</script><script>window.hit=1</script>"
    path.write_text(json.dumps(content))
    with served(path) as server, browser.open(server.address) as page:
        put(page, "select[aria-label=Sort]", "file", "change") if page.wait(TILES) else None
        page.wait("document.querySelectorAll('.tile img.here').length == 5")
        page.wait("document.querySelectorAll('.tile img.gone').length == 3")
        assert page.run(NAMES) == names
        for i in range(len(names)):
            page.run(f"location.hash = 'r=0&photo={i}'")
            page.wait(f"document.querySelector('.panel h2')?.textContent == {json.dumps(names[i])}")
            page.key("Tab")
            assert page.wait("document.querySelector('.joints')?.textContent").startswith("<img src=x")
        page.key("3")
        page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 1")
        assert page.run("window.hit === undefined && document.scripts.length == 1")
        assert not page.run("document.querySelector('.tile script, .panel script, .panel img')")
        assert all(address.startswith((server.address, "data:")) for address in page.requests())


def test_20_000_photos(tmp_path: Path, browser: Browser) -> None:
    with served(many(tmp_path, 20_000)) as server, browser.open(server.address) as page:
        page.wait("document.querySelectorAll('.tile img.here').length > 10")
        assert page.run("document.querySelector('.shown').textContent") == "20,000 photos"
        shown = page.run("performance.getEntriesByName('shown')[0].startTime")
        gaps = [float(np.median(page.run(SCROLL))) for _ in range(3)]
        # A machine that has other work to do tells nothing of ours.
        if os.getloadavg()[0] < (os.cpu_count() or 1):
            assert shown < 2000
            assert min(gaps) < 17.5
        assert page.run(TILES) < 100  # of 20,000
        page.run("document.querySelector('.scroller').scrollTop = 1e9")
        page.wait(f"document.querySelectorAll('.tile:not([hidden]) img.here').length == {TILES}")
        assert page.problems() == []


def test_a_folder_of_several_results(tmp_path: Path, browser: Browser) -> None:
    photos(tmp_path / "a")
    clip(tmp_path / "b")
    with served(tmp_path) as server, browser.open(server.address) as page:
        page.wait("document.querySelectorAll('.tile img.here').length == 5")
        page.key("Enter")
        page.wait("document.querySelectorAll('.person').length")
        page.key("n")
        page.wait("document.querySelector('.timeline') && document.querySelectorAll('.person').length == 2")
        page.key("Tab")
        page.key("3")
        page.wait("document.querySelectorAll('.flag[aria-pressed=true]').length == 1")
        flags = json.loads((tmp_path / "flags.json").read_text())["flags"]
        assert [flag["result"] for flag in flags] == ["b/out/walk.json"]
        page.send("Page.reload")
        page.wait("document.querySelector('.timeline') && document.querySelectorAll('.person').length == 2")
        put(page, ".top select", "0", "change")
        page.wait("document.querySelectorAll('.tile img.here').length == 5")
        assert page.run("document.querySelectorAll('main > *').length") == 1
        assert page.problems() == []
