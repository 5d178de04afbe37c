from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mrpose_cli
from mrpose_cli.errors import ManifestError, UsageError
from mrpose_cli.models import list_models
from mrpose_cli.pipeline.factory import DETECTORS
from mrpose_cli.skeletons import COCO17, get_skeleton
from mrpose_cli.weights.manifest import (
    find_backbone,
    find_detector,
    find_entry,
    find_pose,
    load_manifest,
    manifest_path,
    shipped_folder,
)
from mrpose_cli.weights.sources import UrlSource, WheelSource

POSE = """
[[pose]]
name = "good"
file = "good.pth"
licence = "MIT"
format = "torch"
arch = "mrfea2-r18"
joints = 17
input_size = [256, 192]
color = "rgb"
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
codec = "udp"
flip_test = true
"""
DETECTOR = """
[[detector]]
name = "finder"
file = "finder.pt"
licence = "MIT"
format = "torch"
arch = "yolo"
input_size = [640, 640]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(tmp_path: Path, text: str) -> str:
    """What loading ``text`` says, without the path in front; it must be one line with the path."""
    path = written(tmp_path, text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_defaults_of_a_pose_entry(tmp_path: Path) -> None:
    entry = load_manifest(written(tmp_path, POSE)).pose[0]
    assert entry.padding == (1.25, 1.25)
    assert (entry.skeleton, entry.flip_shift, entry.score) == (COCO17, False, "mean-visible")
    assert (entry.kind, entry.sha256, entry.sources) == ("pose", None, ())


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('color = "rgb"', 'color = "rbg"', "color"),
        ("joints = 17", "joints = 0", "joints"),
        ("joints = 17", "", "joints"),
        ('codec = "udp"', 'codec = "magic"', "codec"),
        ("std = [58.395, 57.12, 57.375]", "std = [0.0, 57.12, 57.375]", "std.0"),
        ("input_size = [256, 192]", "input_size = [256]", "input_size.1"),
        ('file = "good.pth"', 'file = "../good.pth"', "file"),
        ('file = "good.pth"', 'file = ".."', "file"),
        ("flip_test = true", "flip_test = true\nflip_tset = true", "flip_tset"),
        ("flip_test = true", 'flip_test = true\nsha256 = "ABC"', "sha256"),
        ("flip_test = true", 'flip_test = true\nsources = ["http://a/b"]', "sources.0.url"),
        ("flip_test = true", 'flip_test = true\nsources = [{ url = "ftp://a/b" }]', "sources.0.url.url"),
        (
            "flip_test = true",
            'flip_test = true\nsources = [{ wheel = "a", member = "b" }]',
            "sources.0.wheel.wheel",
        ),
        ("flip_test = true", 'flip_test = true\nsources = [{ wheel = "a==1" }]', "sources.0.wheel.member"),
    ],
)
def test_a_bad_field_is_named_with_its_entry(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert old in POSE
    assert problem(tmp_path, POSE.replace(old, new)).startswith(f"pose 'good': {field}: ")


def test_an_entry_without_a_name_is_named_by_its_index(tmp_path: Path) -> None:
    nameless = POSE.replace('name = "good"', "")
    assert problem(tmp_path, POSE + nameless) == "pose[1]: name: Field required"


def test_further_problems_are_counted(tmp_path: Path) -> None:
    text = POSE.replace("joints = 17", "").replace('codec = "udp"', "")
    assert problem(tmp_path, text) == "pose 'good': joints: Field required (and 1 more)"


def test_sources_without_a_hash_are_refused(tmp_path: Path) -> None:
    assert "pose 'good': an entry with sources needs a sha256" in problem(
        tmp_path, POSE + 'sources = [{ url = "https://example.org/a" }]'
    )


@pytest.mark.parametrize("field", ["name", "file"])
def test_names_and_files_are_unique_across_kinds(tmp_path: Path, field: str) -> None:
    values = {"name": ("finder", "good"), "file": ("finder.pt", "good.pth")}[field]
    assert problem(tmp_path, POSE + DETECTOR.replace(values[0], values[1])).startswith(
        f"two entries share the {field} "
    )


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, "[[tracker]]\nname = 'x'").startswith("tracker: ")


def test_not_toml_not_text_not_there(tmp_path: Path) -> None:
    assert problem(tmp_path, "pose = [").startswith("not valid TOML (")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "\xe9"')
    with pytest.raises(ManifestError, match="not valid TOML"):
        load_manifest(path)
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifest(tmp_path / "none.toml")


def test_lookup_is_by_kind_and_proposes_the_nearest(tmp_path: Path) -> None:
    manifest = load_manifest(written(tmp_path, POSE + DETECTOR))
    assert find_pose("good", manifest).file == "good.pth"
    assert find_detector("finder", manifest).file == "finder.pt"
    assert find_entry("finder", manifest) is find_detector("finder", manifest)
    with pytest.raises(UsageError, match=r"no detector called 'findr'; did you mean finder\?"):
        find_detector("findr", manifest)
    with pytest.raises(UsageError, match=r"no pose checkpoint called 'finder'; `mrpose weights list`"):
        find_pose("finder", manifest)
    with pytest.raises(UsageError, match="no backbone called 'good'"):
        find_backbone("good", manifest)


def test_an_installed_package_carries_its_manifest(tmp_path: Path) -> None:
    package = tmp_path / "mrpose_cli"
    shutil.copytree(Path(mrpose_cli.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from mrpose_cli.weights import manifest; print(manifest.shipped_folder())"

    def printed() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)

    (tmp_path / "weights").mkdir()  # next to the package, but not ours: no manifest is in it
    assert "this installation has no checkpoint manifest" in printed().stderr
    shutil.copytree(shipped_folder(), package / "shipped_weights")
    assert printed().stdout.strip() == str(package / "shipped_weights")


def test_the_shipped_manifest_is_read_once() -> None:
    assert manifest_path() == shipped_folder() / "manifest.toml"
    assert load_manifest() is load_manifest()


_OTHER_JOINTS = {
    "mpii": "mpii16",
    "ap10k": "ap10k",
    "animalpose": "animalpose",
    "crowdpose": "crowdpose14",
    "wholebody": "coco-wholebody133",
    "hand": "hand21",
}


def test_shipped_pose_entries_are_sane() -> None:
    entries = load_manifest().pose
    assert {"rtmpose-s", "simplebaseline-r50", "mrfea2-r50", "mrfea2-cspnext-s"} <= {
        entry.name for entry in entries
    }
    for entry in entries:
        assert entry.input_size in {(256, 192), (384, 288), (256, 256), (384, 384), (320, 256)}, entry.name
        named = [name for word, name in _OTHER_JOINTS.items() if f"-{word}-" in f"{entry.name}-"]
        assert entry.skeleton == get_skeleton(named[0] if named else "coco17"), entry.name
        assert entry.joints == (26 if entry.name == "rtmpose-s" else len(entry.skeleton.joints)), entry.name
        # Of 0..255, not of 0..1; means fall from red to blue in every file whichever order it feeds.
        assert 90 < entry.mean[2] < entry.mean[1] < entry.mean[0] < 140, entry.name
        assert all(50 < value < 65 for value in entry.std), entry.name
        assert entry.padding == (1.25, 1.25)
        # Aligned codecs shift nothing; plain heatmaps tested with flip are shifted.
        assert entry.flip_shift == (entry.flip_test and entry.codec in ("quarter", "msra", "dark")), (
            entry.name
        )
        assert (entry.format == "onnx") == entry.file.endswith(".onnx"), entry.name
    bgr = {entry.name.split("-")[0] for entry in entries if entry.color == "bgr"}
    assert bgr == {"simplebaseline", "mrheat1", "mrheat2", "mrfea1", "mrfea2"}
    assert not any("mmpose" in entry.name for entry in entries if entry.color == "bgr")


def test_every_row_is_a_network_of_the_registry() -> None:
    names = set(list_models())
    for entry in load_manifest().pose:
        assert entry.arch in names, entry.name
        assert entry.name.startswith(entry.arch)


def test_published_files_have_two_sources_and_their_conditions() -> None:
    entries = [entry for entry in load_manifest().pose if "-mmpose" in entry.name]
    assert len(entries) > 75
    for entry in entries:
        assert len(entry.sources) == 2, entry.name
        assert entry.sha256 is not None
        assert entry.sha256 in entry.file
        [metric] = entry.metrics
        assert metric.boxes
        assert metric.decode
        assert metric.flip is True


def test_shipped_entries_agree_with_their_file_names() -> None:
    for entry in load_manifest().entries():
        published = re.search(r"-([0-9a-f]{8})_\d{8}\.pth$", entry.file)
        if published:
            assert entry.sha256 is not None
            assert entry.sha256.startswith(published[1]), entry.name
        for source in entry.sources:
            if isinstance(source, WheelSource) or source.member is None:
                assert str(source).endswith(entry.file), entry.name
            elif isinstance(source, UrlSource):
                assert Path(source.url).stem == Path(entry.file).stem, entry.name
        assert entry.licence
        assert entry.about


def test_shipped_detectors_start_with_the_default() -> None:
    detectors = load_manifest().detector
    assert detectors[0].name == "yolo26n"
    assert all(entry.sources for entry in detectors)


def test_every_shipped_detector_has_its_class() -> None:
    assert {entry.arch for entry in load_manifest().detector} == set(DETECTORS)


def test_conventions_are_written_into_the_rows_that_name_them(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(
        """
        [mirrors]
        "https://a.example/" = ["https://b.example/x/"]
        [conventions.theirs]
        licence = "MIT"
        format = "torch"
        joints = 17
        color = "bgr"
        mean = [1.0, 2.0, 3.0]
        std = [1.0, 1.0, 1.0]
        codec = "dark"
        flip_test = true
        [[pose]]
        name = "one"
        conventions = "theirs"
        file = "one.pth"
        sha256 = "01234567"
        arch = "one"
        input_size = [256, 192]
        codec = "udp"
        sources = [{ url = "https://a.example/one.pth" }]
        """
    )
    [entry] = load_manifest(path).pose
    assert (entry.color, entry.mean, entry.codec, entry.conventions) == ("bgr", (1, 2, 3), "udp", "theirs")
    assert [str(source) for source in entry.sources] == [
        "https://a.example/one.pth",
        "https://b.example/x/one.pth",
    ]
    path.write_text(path.read_text().replace('conventions = "theirs"', 'conventions = "ours"'))
    with pytest.raises(ManifestError, match="'one' names conventions that are not there: ours"):
        load_manifest(path)
