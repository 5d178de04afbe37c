"""Saved pages, opened from a file in a real browser."""

import json
from pathlib import Path

import pytest
from browser import Browser
from PIL import Image
from typer.testing import CliRunner
from view_results import FRAMES, PEOPLE, SIZE, clip, many, person, photos, write

from mrpose_cli.cli import app

READY = "document.querySelector('video')?.readyState >= 2 && !document.querySelector('video').seeking"


def save(path: Path, to: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["view", str(path), "--html", str(to), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_photos(tmp_path: Path, browser: Browser) -> None:
    page_file = tmp_path / "page.html"
    save(photos(tmp_path / "out"), page_file)
    assert page_file.stat().st_size < 2_000_000
    with browser.open(page_file.as_uri()) as page:
        page.wait("document.querySelectorAll('.tile img.here').length == 5")
        page.key("Enter")
        page.wait("document.querySelectorAll('.person').length")
        page.key("Tab")
        page.wait("document.querySelectorAll('.joints tr').length == 17")
        assert page.run("document.querySelectorAll('.flag').length") == 0  # nobody would save them
        assert page.problems() == []
        outside = [address for address in page.requests() if not address.startswith(("data:", "blob:"))]
        assert outside == [page_file.as_uri()]


def test_a_clip(tmp_path: Path, browser: Browser) -> None:
    page_file = tmp_path / "page.html"
    save(clip(tmp_path), page_file)
    with browser.open(page_file.as_uri()) as page:
        page.wait(READY)
        page.key("Tab")
        page.wait("document.querySelectorAll('.legend span').length == 4")
        page.key("End")
        page.wait(READY)
        assert page.run("document.querySelector('.clock').textContent").endswith(f"frame {FRAMES - 1}")
        assert page.run("document.querySelector('video').videoWidth") == SIZE[0]
        assert page.problems() == []


def test_a_page_keeps_to_its_size_with_what_matters_most(tmp_path: Path, browser: Browser) -> None:
    path = many(tmp_path / "many", 60)
    said = save(path, tmp_path / "page.html", "--html-size", "1")
    assert "of the 60 photos" in said
    assert 500_000 < (tmp_path / "page.html").stat().st_size <= 1_000_000
    with browser.open((tmp_path / "page.html").as_uri()) as page:
        page.wait("document.querySelectorAll('.tile img.here').length > 3")
        assert "of the 60 photos" in page.run("document.querySelector('.notes').textContent")
        assert page.problems() == []


def test_nothing_is_overwritten_and_bad_sizes_are_told(tmp_path: Path) -> None:
    path = photos(tmp_path / "out")
    page_file = tmp_path / "page.html"
    page_file.write_text("mine")
    done = CliRunner().invoke(app, ["view", str(path), "--html", str(page_file)])
    assert done.exit_code == 2 and "--overwrite" in done.output
    assert page_file.read_text() == "mine"
    done = CliRunner().invoke(
        app, ["view", str(path), "--html", str(tmp_path / "none" / "a.html"), "--html-size", "0"]
    )
    assert done.exit_code == 2
    save(path, page_file, "--overwrite")


def test_hostile_names_do_nothing(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "secret.png")
    names = ["</script><script>window.hit=1</script>", "<!--<script>", "../secret.png", "\u2028.png"]
    images = [{"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(names)]
    people = [person(i, i, PEOPLE["camera.png"][0]["keypoints"]) for i in range(len(names))]
    path = write(tmp_path / "out" / "poses.json", images, people, photos="../in")
    (tmp_path / "out" / "flags.json").write_text(
        json.dumps(
            {"format": 1, "flags": [{"result": "</script><script>window.hit=1</script>", "kind": "nobody"}]}
        )
    )
    save(path, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("</script>") == 2 and "data:image" not in text
    with browser.open((tmp_path / "page.html").as_uri()) as page:
        page.wait("document.querySelectorAll('.tile:not([hidden])').length == 4")
        assert page.run("window.hit === undefined")
        assert page.problems() == []


@pytest.mark.parametrize("name", ["none", "empty"])
def test_what_is_no_result_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["view", str(tmp_path / name)])
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
