"""Networks compiled by OpenVINO: the same answers, kept for the next run, in bf16 without losing joints."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.media.images import read_image
from mrpose_cli.models.identify import identify
from mrpose_cli.models.registry import create_model
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.pipeline.engines import openvino as engine_file
from mrpose_cli.pipeline.engines.centering import center
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.weights.manifest import find_detector, find_pose, shipped_folder

openvino = pytest.importorskip("openvino")
CPU = torch.device("cpu")
SHIPPED = find_pose("mrfea2-cspnext-s")


def shipped() -> Path:
    return shipped_folder() / SHIPPED.file


@pytest.mark.parametrize(
    "name", ["mrheat2-r18", "mrfea2-r18", "rsn-18-prm", "mlpe-s50", "hrnet-w32", "rtmpose-t"]
)
def test_every_family_can_be_converted(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = create_model(name).eval()
    file = tmp_path / "network.pth"
    torch.save(network.state_dict(), file)
    entry = identify(file, name)
    images = torch.randn(2, 3, *entry.input_size)
    with torch.inference_mode():
        expected = network(images)
        answer = OpenVinoEngine.load(entry, file, CPU, torch.float32)(images)
    pairs = zip(_parts(answer), _parts(expected), strict=True)
    assert all((one - other).abs().max() < 1e-4 * other.abs().max() for one, other in pairs)


def _parts(answer: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def test_images_come_back_in_order_however_many_there_are() -> None:
    engine = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32)
    images = torch.rand(2 * engine.parallel + 1, 3, 256, 192)
    together = engine(images)
    assert isinstance(together, Tensor)
    for index, image in enumerate(images):
        alone = engine(image[None])
        assert isinstance(alone, Tensor)
        assert torch.equal(alone[0], together[index])


def test_what_an_interrupted_call_left_does_not_get_into_the_next() -> None:
    engine = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32)
    images = torch.rand(1, 3, 256, 192)
    expected = engine(images)
    for request in engine._requests:
        request.start_async({0: np.zeros((1, 3, 256, 192), np.float32)})
    assert torch.equal(_parts(engine(images))[0], _parts(expected)[0])


class TestKept:
    def test_a_network_is_converted_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        images = torch.rand(1, 3, 256, 192)
        first = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)(images)

        def fail(*args: Any) -> Any:
            raise AssertionError("converted again")

        monkeypatch.setattr(engine_file, "module_of", fail)
        again = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)(images)
        assert torch.equal(_parts(first)[0], _parts(again)[0])
        with pytest.raises(AssertionError, match="converted again"):
            OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.bfloat16, tmp_path)

    def test_other_versions_take_its_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)
        [before] = tmp_path.iterdir()
        (other := tmp_path / "mrfea2-cspnext-t-f32-throughput-0123456789abcdef.blob").touch()
        (living := tmp_path / ".mrpose-1.part").touch()
        (dead := tmp_path / ".mrpose-2.part").touch()
        os.utime(dead, (0, 0))
        monkeypatch.setattr(engine_file, "version", lambda name: "0.0")
        OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)
        after = set(tmp_path.iterdir())
        assert {before, dead}.isdisjoint(after) and {other, living} < after and len(after) == 3

    def test_what_answers_promptly_lies_beside_it(self, tmp_path: Path) -> None:
        images = torch.rand(3, 3, 256, 192)
        usual = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)
        prompt = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path, prompt=True)
        assert prompt.parallel == 1 and len(list(tmp_path.iterdir())) == 2
        torch.testing.assert_close(_parts(prompt(images))[0], _parts(usual(images))[0])

    def test_a_damaged_file_is_made_again(self, tmp_path: Path) -> None:
        OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)
        [kept] = tmp_path.iterdir()
        whole = kept.read_bytes()
        for damaged in (b"nothing of the kind", whole[: len(whole) // 2]):
            kept.write_bytes(damaged)
            OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path)
            assert kept.stat().st_size > 0.9 * len(whole)  # the names in it differ

    def test_where_nothing_can_be_kept_it_runs_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        engine = OpenVinoEngine.load(SHIPPED, shipped(), CPU, torch.float32, tmp_path / "file" / "folder")
        assert engine(torch.rand(1, 3, 256, 192)) is not None


@pytest.fixture
def crops(samples: Path) -> Tensor:
    """(N, 3, 256, 192): the two basketball players, mirrored and shifted, as RTMPose-s wants them."""
    entry = find_pose("rtmpose-s")
    image = read_image(samples / "basketball1.png").image
    boxes = np.array([[35, 80, 180, 478], [437, 25, 640, 478]], np.float32)
    spec = CropSpec(size=entry.input_size, padding=entry.padding)
    affines = [crop_affines(boxes + shift, spec) for shift in (0, 5, -8)]
    pixels = np.stack([warp(image, affine, spec.size) for affine in np.concatenate(affines)])
    pixels = np.concatenate([pixels, pixels[:, :, ::-1]])
    images = (pixels - np.array(entry.mean)) / np.array(entry.std)
    return torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32).copy())


class _Steady(nn.Module):
    """A channel of about 11 whose products with weights cancel the bias, as in RTMPose-s' second stage."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.before.weight.mul_(0.1)
            steady = torch.tensor([11.3, 9.17, 5.66, 11.4, 0, 0, 0, 0])
            self.before.bias = nn.Parameter(steady)
            self.after.weight[:, :4] = torch.tensor([25.3, -13.3, 9.7, -20.1])[:, None, None]
            self.after.bias = nn.Parameter(-self.after.weight[:, :, 0, 0] @ steady)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.relu(self.before(x)))  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_centering_changes_nothing_but_the_rounding() -> None:
    torch.manual_seed(0)
    network, image = _Steady().eval(), torch.randn(1, 3, 32, 32)
    core = openvino.Core()
    answers = {}
    with torch.inference_mode():
        expected = network(image).numpy()
        for centered in (False, True):
            graph = openvino.convert_model(torch.jit.trace(network, image), example_input=image)
            if centered:
                center(graph, core)
            for precision in ("f32", "bf16"):
                compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision})
                answers[centered, precision] = np.abs(compiled(image.numpy())[0] - expected).mean()
    assert answers[True, "f32"] < 1e-5
    if computes_bf16(CPU):
        assert answers[True, "bf16"] < answers[False, "bf16"] / 4


@pytest.mark.skipif(not computes_bf16(CPU), reason="this CPU does not compute bf16")
def test_bf16_moves_joints_by_less_than_a_fifth_of_a_pixel(
    weights: Callable[[str], Path], crops: Tensor
) -> None:
    entry, path = find_pose("rtmpose-s"), weights("rtmpose-s")
    exact = OpenVinoEngine.load(entry, path, CPU, torch.float32)(crops)
    half = OpenVinoEngine.load(entry, path, CPU, torch.bfloat16)(crops)
    clear = torch.minimum(exact[0].amax(-1), exact[1].amax(-1)) > 0.5
    assert clear.sum() > 20
    for one, other in zip(half, exact, strict=True):
        moved = (one.argmax(-1) - other.argmax(-1)).abs()[clear] / 2
        assert moved.float().mean() < 0.2


def test_detectors_find_the_same_in_bf16(weights: Callable[[str], Path]) -> None:
    entry, path = find_detector("yolo26n"), weights("yolo26n")
    pictures = torch.randint(0, 255, (2, 96, 64, 3), dtype=torch.uint8)
    expected = TorchEngine.load(entry, path, CPU, torch.float32)
    with torch.inference_mode():
        rows = expected(pictures)
        answer = OpenVinoEngine.load(entry, path, CPU, torch.float32)(pictures)
    assert isinstance(rows, Tensor) and isinstance(answer, Tensor)
    assert (rows - answer).abs().max() < 1e-2


def test_an_onnx_file_without_the_outputs_is_turned_away(
    weights: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="has the outputs"):
        OpenVinoEngine.load(find_detector("yolox-tiny"), weights("rtmpose-s"), CPU, torch.float32)
    other = find_pose("rtmpose-s").model_copy(update={"input_size": (384, 288)})
    mine = Path(shutil.copy(weights("rtmpose-s"), tmp_path / "mine.onnx"))
    with pytest.raises(WeightsError, match="takes crops of 256x192, rtmpose-s of 384x288"):
        OpenVinoEngine.load(other, mine, CPU, torch.float32)
