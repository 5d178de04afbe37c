"""Time mrpose against another program on the same photos, in alternating runs of whole processes.

    python benchmarks/paired.py rtmlib PHOTOS        # the same two ONNX files: YOLOX-tiny and RTMPose-s
    python benchmarks/paired.py ultralytics PHOTOS   # yolo11n-pose against YOLO26n and RTMPose-s

Needs the peer (`pip install rtmlib`; ultralytics comes with mrpose) and the weights (`mrpose weights pull`).
Prints, for each pair, seconds after loading and of the whole process, and the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def photos(folder: Path, count: int | None) -> list[Path]:
    """Return the first photos of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)[:count]


def rtmlib(files: list[Path]) -> tuple[float, int]:
    """Seconds after loading and persons, as rtmlib's own examples run it: BGR, a photo at a time."""
    import cv2
    from rtmlib import YOLOX, RTMPose

    detector = YOLOX(_weights("yolox-tiny"), model_input_size=(416, 416), backend="onnxruntime", device="cpu")
    pose = RTMPose(_weights("rtmpose-s"), model_input_size=(192, 256), backend="onnxruntime", device="cpu")
    persons, start = 0, time.perf_counter()
    for file in files:
        image = cv2.imread(str(file))
        boxes = detector(image)
        if len(boxes):  # without boxes it takes the whole picture for a person
            persons += len(pose(image, bboxes=boxes)[0])
    return time.perf_counter() - start, persons


def ultralytics(files: list[Path], *, device: str = "cpu", half: bool = False) -> tuple[float, int]:
    """Seconds after loading and persons."""
    from ultralytics import YOLO

    model = YOLO(_weights("yolo11n-pose"))
    how = {"device": device, "half": half}
    start = time.perf_counter()
    results = model.predict([str(file) for file in files], stream=True, verbose=False, conf=0.25, **how)
    persons = sum(len(result.boxes) for result in results)
    return time.perf_counter() - start, persons


PEERS = {"rtmlib": (rtmlib, "yolox-tiny"), "ultralytics": (ultralytics, "yolo26n")}


def _weights(name: str) -> str:
    return subprocess.check_output(["mrpose", "weights", "path", name], text=True).strip()


def _peer(name: str, files: list[Path]) -> tuple[float, float, int]:
    command = [sys.executable, __file__, "--alone", name, *map(str, files)]
    start = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    whole = time.perf_counter() - start
    return *json.loads(output.splitlines()[-1]), whole  # type: ignore[return-value]


def _mrpose(detector: str, files: list[Path], flags: list[str]) -> tuple[float, int, float]:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "photos.txt")
        listed.write_text("\n".join(map(str, files)))
        command = ["mrpose", "image", str(listed), "-o", f"{folder}/out", "--no-overlay"]
        start = time.perf_counter()
        run = subprocess.run([*command, "--detector", detector, *flags], capture_output=True, text=True)
        whole = time.perf_counter() - start
    told = re.search(r"(\d+) persons in \d+ photos, ([\d.]+) s", run.stdout + run.stderr)
    if told is None:
        raise SystemExit(run.stdout + run.stderr)
    return float(told[2]), int(told[1]), whole


def main() -> None:
    """Run the pairs."""
    if sys.argv[1] == "--alone":
        print(json.dumps(PEERS[sys.argv[2]][0]([Path(name) for name in sys.argv[3:]])))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=150)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("flags", nargs="*", help="flags of `mrpose image`, after --")
    given = parser.parse_args()
    files = photos(given.photos, given.limit)
    ratios, wholes = [], []
    for _ in range(given.pairs):
        mine, persons, whole = _mrpose(PEERS[given.peer][1], files, given.flags)
        theirs, others, their_whole = _peer(given.peer, files)
        ratios.append((theirs / max(others, 1)) / (mine / max(persons, 1)))
        wholes.append(their_whole / whole)
        print(
            f"mrpose {mine:.1f} s for {persons} persons ({whole:.1f} s in all), "
            f"{given.peer} {theirs:.1f} s for {others} ({their_whole:.1f} s in all): "
            f"{ratios[-1]:.2f} times faster per person, {wholes[-1]:.2f} in all",
            flush=True,
        )
    print(f"median: {statistics.median(ratios):.2f} per person, {statistics.median(wholes):.2f} in all")


if __name__ == "__main__":
    main()
