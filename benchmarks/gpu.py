"""Measure the parts of mrpose on a GPU; ``gpu.sh`` calls it. It has not run on one so far.

    python benchmarks/gpu.py networks      # bare networks as CUDA graphs, beside the card's peak in bf16
    python benchmarks/gpu.py stage         # the pose stage beside its bare network, and two ways to cut crops
    python benchmarks/gpu.py whole PHOTOS  # `mrpose image` on so many photos, and how busy the card is
    python benchmarks/gpu.py ultralytics PHOTOS

``--device cpu`` tries the script itself; its figures mean nothing then.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from paired import photos, ultralytics
from torch import Tensor, nn

_NETWORKS = ("rtmpose-s", "mrfea2-cspnext-s", "simplebaseline-r50", "hrnet-w32")
_BATCHES = (1, 16, 64, 256)
_SECONDS = 1.0  # of a measurement, at least


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call: the median of three series."""
    series = []
    for _ in range(3):
        run()
        _wait(device)
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < _SECONDS / 3:
            run()
            calls += 1
            if calls % 10 == 0:
                _wait(device)
        _wait(device)
        series.append((time.perf_counter() - start) / calls)
    return sorted(series)[1]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def replayed(network: nn.Module, images: Tensor) -> Callable[[], object]:
    """Capture a network on fixed images as a CUDA graph; leave it as it is on other devices."""
    if not images.is_cuda:
        return lambda: network(images)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # cuDNN's search is not to be captured
            network(images)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(images)
    return graph.replay


def _bare(name: str, batch: int, device: torch.device) -> tuple[nn.Module, Tensor]:
    from mrpose_cli.models.registry import create_model

    dtype = torch.float16 if device.type == "cuda" else torch.float32
    network = create_model(name).eval().requires_grad_(False)
    network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(batch, 3, 256, 192, device=device, dtype=dtype)
    return network, images.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def networks(device: torch.device) -> None:
    """Print persons/s of bare networks, and what the card multiplies in bf16."""
    from torch.utils.flop_counter import FlopCounterMode

    side = 8192 if device.type == "cuda" else 512
    left, right = (torch.rand(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    peak = 2 * side**3 / seconds_of(lambda: left @ right, device)
    print(f"peak of a product of matrices in bf16: {peak / 1e12:.1f} TFLOP/s")
    torch.backends.cudnn.benchmark = True
    for name in _NETWORKS:
        for batch in _BATCHES if device.type == "cuda" else (1,):
            network, images = _bare(name, batch, device)
            with FlopCounterMode(display=False) as flops:
                network(images[:1])
            rate = batch / seconds_of(replayed(network, images), device)
            share = rate * flops.get_total_flops() / peak
            print(f"{name:20} batch {batch:3}: {rate:9.0f} persons/s, {share:.1%} of the peak", flush=True)


@torch.inference_mode()
def stage(device: torch.device, model: str) -> None:
    """Print what normalization, network and decoding take beside the network alone, and what crops take."""
    from mrpose_cli import load_pipeline
    from mrpose_cli.pipeline.crops import crop_affines, warp
    from mrpose_cli.pipeline.device_crops import upload, warp_all

    pipeline = load_pipeline(model, "whole-image", device=str(device), engine="torch", flip=False)
    estimator, batch = pipeline.estimator, pipeline.batch_size
    crops = torch.randint(0, 255, (batch, *estimator.crop_spec.size, 3), dtype=torch.uint8)
    network, images = _bare(estimator.entry.arch, batch, device)
    bare = batch / seconds_of(replayed(network, images), device)
    for label, given in (("crops on the CPU", crops.numpy()), ("crops there already", crops.to(device))):
        rate = batch / seconds_of(lambda given=given: estimator(given), device)
        print(
            f"pose stage, {label}: {rate:.0f} persons/s, {rate / bare:.0%} of the bare network ({bare:.0f})"
        )
    image = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    spots = np.random.default_rng(1).uniform(0, 800, (8, 2))
    affines = crop_affines(np.concatenate([spots, spots + np.array([120, 280])], 1), estimator.crop_spec)
    size = estimator.crop_spec.size
    ways: dict[str, Callable[[], object]] = {
        "OpenCV": lambda: upload(np.stack([warp(image, affine, size) for affine in affines]), device),
        "grid_sample": lambda: warp_all(upload(image, device), affines, size),
    }
    for label, way in ways.items():
        print(f"8 crops of a frame of 1920x1080 by {label}: {1e3 * seconds_of(way, device):.2f} ms")


def whole(device: torch.device, model: str, folder: Path, count: int) -> None:
    """Run `mrpose image` on so many photos, those of a folder again and again, and watch the card."""
    with tempfile.TemporaryDirectory() as work:
        (linked := Path(work, "photos")).mkdir()
        for number, file in enumerate(islice(cycle(photos(folder, None)), count)):
            (linked / f"{number:06d}{file.suffix}").symlink_to(file.resolve())
        busy: list[float] = []
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(device, busy, done))
        watcher.start()
        command = ["mrpose", "image", str(linked), "-o", f"{work}/out", "--no-overlay", "--profile"]
        run = subprocess.run(
            [*command, "--device", str(device), "--model", model], capture_output=True, text=True
        )
        done.set()
        watcher.join()
    print(run.stdout[-3000:], run.stderr[-1000:], sep="\n")
    if busy:
        working = busy[len(busy) // 5 :]  # without loading
        print(f"GPU busy: {np.mean(working):.0f} % on average, {np.median(working):.0f} % in the median")
    run.check_returncode()


def _watch(device: torch.device, busy: list[float], done: threading.Event) -> None:
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i"]
    while device.type == "cuda" and not done.wait(0.5):
        busy.append(float(subprocess.check_output([*query, str(device.index or 0)], text=True)))


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("networks", "stage", "whole", "ultralytics"))
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--model", default="mrfea2-cspnext-s")
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    if given.what == "networks":
        networks(given.device)
    elif given.what == "stage":
        stage(given.device, given.model)
    elif given.photos is None:
        parser.error("pass a folder of photos")
    elif given.what == "whole":
        whole(given.device, given.model, given.photos, given.count)
    else:
        files = list(islice(cycle(photos(given.photos, None)), given.count))
        seconds, persons = ultralytics(files, device=str(given.device), half=given.device.type == "cuda")
        print(
            f"{persons} persons in {len(files)} photos, {seconds:.1f} s ({persons / seconds:.1f} persons/s)"
        )


if __name__ == "__main__":
    main()
