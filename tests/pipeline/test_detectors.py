import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpose_cli.errors import WeightsError
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline.detectors import Detector, FileBoxes, WholeImage
from mrpose_cli.pipeline.detectors.letterbox import letterbox
from mrpose_cli.pipeline.detectors.yolo import YoloDetector
from mrpose_cli.pipeline.detectors.yolo_network import load_boxes
from mrpose_cli.pipeline.detectors.yolox import YoloxDetector
from mrpose_cli.pipeline.engines import ENGINES
from mrpose_cli.pipeline.engines.onnx import OnnxEngine
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.weights.manifest import find_detector, own_detector

CPU = torch.device("cpu")

# The two people of basketball1.png, as a person would draw their boxes.
PEOPLE = np.array([[35, 80, 180, 478], [437, 25, 640, 478]], np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    top = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom - top, 0, None).prod(-1)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return np.asarray(overlap / (areas[0][:, None] + areas[1][None] - overlap))


_RUNS = [
    (name, engine)
    for name in ("yolo26n", "yolo11n", "yolox-tiny")
    for engine in ENGINES.values()
    if engine.runs(find_detector(name), CPU)
]


@pytest.fixture(scope="module", params=_RUNS, ids=lambda run: f"{run[0]}-{run[1].name}")
def detector(request: pytest.FixtureRequest, weights: Callable[[str], Path]) -> Detector:
    name, kind = request.param
    engine = kind.load(find_detector(name), weights(name), CPU, torch.float32)
    return YoloxDetector(engine, name=name) if name == "yolox-tiny" else YoloDetector(engine, name=name)


def test_people_are_found_where_they_are(detector: Detector, samples: Path) -> None:
    image = read_image(samples / "basketball1.png").image
    # Pictures of other shapes in between: results must come back in order.
    frames = [
        Frame(image),
        Frame(np.full((100, 300, 3), 120, np.uint8)),
        Frame(np.ascontiguousarray(image[:, ::-1])),
        Frame(np.full((1, 1, 3), 120, np.uint8)),
        Frame(image),
    ]
    first, empty, mirrored, tiny, again = detector.detect(frames)
    assert (iou(first.boxes, PEOPLE).max(0) > 0.7).all()
    assert (np.diff(first.scores) <= 0).all()
    assert len(empty) == len(tiny) == 0
    flipped = PEOPLE[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [640, 0, 640, 0]
    assert (iou(mirrored.boxes, flipped).max(0) > 0.7).all()
    assert np.abs(again.boxes - first.boxes).max() < 0.5
    assert (first.boxes >= 0).all()
    assert (first.boxes <= [640, 480, 640, 480]).all()


def test_letterboxed_boxes_come_back_where_they_were() -> None:
    rng = np.random.default_rng(0)
    for height, width in [(480, 640), (1, 1), (3000, 17), (37, 641), (640, 640)]:
        fitted = letterbox(np.zeros((height, width, 3), np.uint8), 640)
        assert max(fitted.image.shape[:2]) == 640
        assert not any(side % 32 for side in fitted.image.shape[:2])
        corner = rng.uniform(0, 0.5, (5, 2)) * [width, height]
        boxes = np.concatenate([corner, corner + np.array([width / 2, height / 2])], axis=1)
        shift = np.array([fitted.left, fitted.top] * 2)
        back = fitted.restore((boxes * fitted.ratio + shift).astype(np.float32))
        assert np.abs(back - boxes).max() < 1e-3 * max(height, width)


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path, weights: Callable[[str], Path]) -> None:
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"PK\x03\x04 not really")
    for engine in (OpenVinoEngine, TorchEngine):
        with pytest.raises(WeightsError, match="not a YOLO checkpoint"):
            engine.load(own_detector(), junk, CPU, torch.float32)
    with pytest.raises(WeightsError, match="outputs"):
        OnnxEngine.load(find_detector("yolox-tiny"), weights("rtmpose-s"), CPU, torch.float32)


def test_boxes_by_name_and_whole_images() -> None:
    frame = Frame(np.zeros((20, 10, 3), np.uint8), "a.jpg")
    known = Detections(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, np.float32))
    boxes = FileBoxes({"a.jpg": known}, "boxes.json")
    assert boxes.detect([frame])[0] is known
    assert len(boxes.detect([Frame(frame.image, "b.jpg")])[0]) == 0
    assert WholeImage().detect([frame])[0].boxes.tolist() == [[0, 0, 10, 20]]


def test_other_libraries_are_left_as_they_were(weights: Callable[[str], Path]) -> None:
    code = (
        "import sys, PIL.Image, cv2, numpy, torch\n"
        "from pathlib import Path\n"
        "from mrpose_cli.pipeline.detectors.yolo_network import load_boxes\n"
        "state = lambda: (PIL.Image.open, torch.save, torch.load, cv2.imread, cv2.getNumThreads(),\n"
        "                 torch.get_num_threads(), repr(numpy.get_printoptions()), repr(torch.ones(3) / 3))\n"
        "before = state()\n"
        "load_boxes(Path(sys.argv[1]))(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))\n"
        "assert state() == before, (before, state())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(weights("yolo26n"))], check=True)


def test_the_pose_network_keeps_its_threads(weights: Callable[[str], Path]) -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(3)  # one that ultralytics does not choose on any small machine
    try:
        load_boxes(weights("yolo26n"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)


_WATCHED = """
import json, sys
log = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        log.append([event, repr(args)])
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        log.append([event, str(args[0])])
sys.addaudithook(watch)
import numpy as np
from mrpose_cli.pipeline.factory import load_pipeline
pipeline = load_pipeline(detector=sys.argv[1], device="cpu")
pipeline([np.zeros((64, 64, 3), np.uint8)])
print(json.dumps({"log": log, "ultralytics": "ultralytics" in sys.modules}))
"""


@pytest.mark.parametrize("name", ["yolo26n", "yolox-tiny", "whole-image"])
def test_nothing_is_written_or_sent_behind_the_users_back(
    name: str, tmp_path: Path, weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (cache / "weights").mkdir(parents=True)
    for entry in ("rtmpose-s", name):
        if entry != "whole-image":
            file = weights(entry)
            (cache / "weights" / file.name).symlink_to(file)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("MRPOSE_HOME", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # Allowed: mrpose's own cache, the detector library's settings in a folder that goes away, and looking for
    # system libraries.
    allowed = (str(cache), "mrpose-yolo-", "ldconfig", "/dev/null")
    for compiled in (False, True):
        run = subprocess.run(
            [sys.executable, "-c", _WATCHED, name], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        seen = json.loads(run.stdout.splitlines()[-1])
        assert [row for row in seen["log"] if not any(part in row[1] for part in allowed)] == []
        assert list((tmp_path / "home").rglob("*")) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home"]
        # What was compiled once needs neither the library nor the seconds that it takes.
        once = name == "yolo26n" and not (compiled and OpenVinoEngine.runs(find_detector(name), CPU))
        assert seen["ultralytics"] == once


@pytest.mark.parametrize("name", ["yolo26n", "yolo11n-pose"])
def test_boxes_are_those_of_ultralytics(name: str, weights: Callable[[str], Path], samples: Path) -> None:
    load_boxes(weights(name))  # sets the library's switches
    from ultralytics import YOLO

    theirs = YOLO(str(weights(name)), verbose=False)
    engine = TorchEngine.load(find_detector(name), weights(name), CPU, torch.float32)
    mine = YoloDetector(engine, name=name, confidence=0.05)
    for file in ("basketball1.png", "pedestrians1.png"):
        image = read_image(next(samples.glob(file.replace(".png", ".*")))).image
        [found] = mine.detect([Frame(image)])
        fitted = letterbox(image, 640)
        pixels = torch.from_numpy(fitted.image).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            [result] = theirs.predict(pixels, classes=[0], conf=0.05, iou=0.7, verbose=False)
        rows = result.boxes.data.numpy()
        assert len(found.boxes) == len(rows) > 1
        assert np.abs(found.scores - rows[:, 4]).max() < 1e-4
        assert np.abs(found.boxes - fitted.restore(rows[:, :4])).max() < 0.05


_LEFT = """
import os, sys, tempfile
from pathlib import Path
import numpy as np, torch
from mrpose_cli.pipeline.detectors.yolo_network import load_boxes
load_boxes(Path(sys.argv[1]))(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
print(*Path(tempfile.gettempdir()).glob("mrpose-yolo-*"), os.environ.get("YOLO_CONFIG_DIR", "unset"))
"""


def test_settings_do_not_outlive_the_import_nor_those_of_killed_processes(
    tmp_path: Path, weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    living = tmp_path / f"mrpose-yolo-{os.getpid()}-x"
    for folder in (tmp_path / f"mrpose-yolo-{dead.pid}-x", tmp_path / "mrpose-yolo-oldname", living):
        (folder / "Ultralytics").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", _LEFT, str(weights("yolo26n"))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    # All that is seen from within, in the middle of its work, is the folder of this living process.
    assert run.stdout.split() == [str(living), "unset"]


def test_a_batch_too_large_for_the_memory_is_halved_and_that_is_remembered(
    weights: Callable[[str], Path], samples: Path
) -> None:
    engine = TorchEngine.load(find_detector("yolo26n"), weights("yolo26n"), CPU, torch.float32)
    sizes: list[int] = []
    whole = engine._network

    def small(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return whole(images)  # type: ignore[return-value]

    detector = YoloDetector(engine, name="yolo26n", size=320)
    frames = [Frame(read_image(samples / "basketball1.png").image)] * 5
    [expected] = detector.detect(frames[:1])
    engine._network = small
    for found in detector.detect(frames):
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.1)
    detector.detect(frames[:3])
    assert sizes == [5, 2, 2, 1, 2, 1]
