import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import synthetic
import torch
import torch.nn.functional as F

from mrpose_cli.pipeline.crops import CropSpec, crop_affines, to_image
from mrpose_cli.pipeline.decode import _smooth, decode_heatmaps, decode_simcc, flip_heatmaps, flip_simcc
from mrpose_cli.skeletons import COCO17, MPII16
from mrpose_cli.weights.manifest import CodecName

FIXTURE = Path(__file__).parents[1] / "fixtures" / "decode" / "decode.json.gz"
RULES: list[tuple[str, CodecName]] = [
    ("quarter_offset", "quarter"),
    ("mmpose_msra", "msra"),
    ("mmpose_dark", "dark"),
    ("mmpose_udp", "udp"),
    ("mmpose_megvii", "megvii"),
]
CODECS: list[CodecName] = [*(codec for _, codec in RULES), "second-peak"]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(FIXTURE.read_bytes()))
    return content


@pytest.mark.parametrize(("key", "codec"), RULES)
def test_keypoints_equal_the_reference_decoders(
    reference: dict[str, Any], key: str, codec: CodecName
) -> None:
    maps = synthetic.heatmaps()
    affines = crop_affines(synthetic.boxes(), CropSpec((256, 192), aligned=codec == "udp"))
    stored = reference["affine_msra" if codec == "quarter" else f"{key}_affine"]
    assert np.abs(affines - np.array(stored)).max() < 1e-4

    keypoints, scores = decode_heatmaps(torch.from_numpy(maps), codec, (256, 192))
    assert np.abs(scores.numpy() - np.array(reference[key]["scores"]).reshape(12, 17)).max() < 1e-5
    placed = maps.max((2, 3)) > 0
    assert 190 < placed.sum() < maps.shape[0] * maps.shape[1]  # the fixture holds empty maps, too
    error = np.abs(to_image(keypoints.numpy(), affines) - np.array(reference[key]["keypoints"]))[placed]
    assert error.max() < 1e-3


@pytest.mark.parametrize("blur", [None, 9, 21])
def test_second_peak_equals_a_plain_computation(blur: int | None) -> None:
    maps = 255 * synthetic.heatmaps(3)
    keypoints, scores = decode_heatmaps(torch.from_numpy(maps), "second-peak", (256, 192), blur)
    kernel, border = blur or 5, 10
    for person, joint in np.ndindex(3, 17):
        canvas = np.zeros((64 + 2 * border, 48 + 2 * border), np.float32)
        canvas[border:-border, border:-border] = maps[person, joint]
        blurred = cv2.GaussianBlur(canvas, (kernel, kernel), 0)[border:-border, border:-border]
        if maps[person, joint].max() <= 0:
            continue
        first, second = np.argsort(blurred.ravel())[[-1, -2]]
        a, b = np.array([first % 48, first // 48]), np.array([second % 48, second // 48])
        expected = (a + 0.25 * (b - a) / np.hypot(*(b - a))) * 4 + 2
        assert np.abs(keypoints[person, joint].numpy() - expected).max() < 1e-3
        assert scores[person, joint] == pytest.approx(blurred.max() / 255 + 0.5, abs=1e-5)


@pytest.mark.parametrize("shape", [(64, 48), (96, 72), (7, 5)])
@pytest.mark.parametrize("kernel", [5, 11, 21])
def test_the_blur_is_a_convolution_with_zeros_beyond_the_border(shape: tuple[int, int], kernel: int) -> None:
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *shape)))
    taps = torch.from_numpy(cv2.getGaussianKernel(kernel, 0))
    expected = F.conv2d(maps.flatten(0, 1)[:, None], (taps @ taps.T)[None, None], padding=kernel // 2)
    assert torch.allclose(_smooth(maps.float(), kernel), expected.view_as(maps).float(), atol=1e-6)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("value", [0.0, -1.0, 0.7])
def test_a_constant_map_stays_finite(codec: CodecName, value: float) -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        keypoints, scores = decode_heatmaps(torch.full((2, 3, 64, 48), value, dtype=dtype), codec, (256, 192))
        assert torch.isfinite(keypoints).all()
        assert torch.isfinite(scores).all()
        assert value > 0 or not keypoints.any()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_symmetric_peak_has_a_place(codec: CodecName, dtype: torch.dtype) -> None:
    rows, columns = np.mgrid[:64, :48]
    # On a cell; between two and four cells, whose values are tied; wide enough to be flat in half precision.
    peaks = [(20.0, 30.0, 2.0), (20.5, 30.0, 2.0), (20.0, 30.5, 2.0), (20.5, 30.5, 2.0), (20.5, 30.5, 30.0)]
    maps = np.stack(
        [np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)) for x, y, sigma in peaks]
    )
    keypoints, scores = decode_heatmaps(torch.from_numpy(maps).to(dtype)[None], codec, (256, 192))
    assert torch.isfinite(scores).all()
    expected = torch.tensor([[4 * x, 4 * y] for x, y, _ in peaks])
    assert (keypoints[0] - expected).abs().max() < 4.5


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_joint_that_is_not_finite_has_no_place_and_no_score(
    codec: CodecName, dtype: torch.dtype, value: float
) -> None:
    good = torch.from_numpy(synthetic.heatmaps(1)).to(dtype)
    everywhere, once = good.clone(), good.clone()
    everywhere[0, 3] = value
    once[0, 3, 20, 10] = value
    expected, expected_scores = decode_heatmaps(good, codec, (256, 192))
    others = torch.arange(17) != 3
    for maps in (everywhere, once):
        keypoints, scores = decode_heatmaps(maps, codec, (256, 192))
        assert torch.equal(keypoints[:, others], expected[:, others])
        assert torch.equal(scores[:, others], expected_scores[:, others])
        assert torch.isfinite(keypoints).all()
        assert torch.isfinite(scores).all()
        if maps is everywhere or value != -np.inf:
            assert keypoints[0, 3].tolist() == [0, 0]
            assert scores[0, 3] == 0


@pytest.mark.parametrize(("codec", "bar"), [("dark", 0.1), ("udp", 0.1), ("quarter", 1.5), ("msra", 1.5)])
def test_a_gaussian_is_found_where_it_is(codec: CodecName, bar: float) -> None:
    x, y = 20.3, 31.6  # cells
    rows, columns = np.mgrid[:64, :48]
    maps = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8).astype(np.float32)[None, None]
    keypoints, _ = decode_heatmaps(torch.from_numpy(maps), codec, (256, 192))
    expected = np.array([x * 191 / 47, y * 255 / 63]) if codec == "udp" else np.array([x * 4, y * 4])
    assert np.abs(keypoints[0, 0].numpy() - expected).max() < bar


def test_half_precision_maps_decode_like_their_float_copies() -> None:
    maps = torch.from_numpy(synthetic.heatmaps()).half()
    for _, codec in RULES:
        half, _ = decode_heatmaps(maps, codec, (256, 192))
        full, _ = decode_heatmaps(maps.float(), codec, (256, 192))
        assert torch.equal(half, full)


def test_simcc_peaks() -> None:
    x, y = torch.zeros(1, 2, 384), torch.zeros(1, 2, 512)
    x[0, 0, 101], y[0, 0, 300] = 0.9, 0.5
    x[0, 1, 383], y[0, 1, 0] = 0.2, 0.8
    keypoints, scores = decode_simcc(x, y)
    assert keypoints.tolist() == [[[50.5, 150.0], [191.5, 0.0]]]
    assert scores[0].tolist() == pytest.approx([0.5, 0.2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_simcc_joint_that_is_not_finite_has_no_place_and_no_score(dtype: torch.dtype, value: float) -> None:
    x, y = torch.full((1, 4, 384), 0.3, dtype=dtype), torch.full((1, 4, 512), 0.3, dtype=dtype)
    x[0, :3, 101], y[0, :3, 300] = 0.5, 0.75
    x[0, 0], y[0, 1] = value, value
    keypoints, scores = decode_simcc(x, y)
    assert keypoints[0].tolist() == [[0, 0], [0, 0], [50.5, 150], [0, 0]]
    assert scores[0].tolist() == pytest.approx([0, 0, 0.5, 0.3], abs=1e-3)


@pytest.mark.parametrize("skeleton", [COCO17, MPII16])
def test_mirroring_twice_changes_nothing(skeleton: Any) -> None:
    joints = len(skeleton.joints)
    maps = torch.rand(2, joints, 64, 48)
    twice = flip_heatmaps(
        flip_heatmaps(maps, skeleton.mirror_order, shift=False), skeleton.mirror_order, shift=False
    )
    assert torch.equal(twice, maps)
    x, y = torch.rand(2, joints, 384), torch.rand(2, joints, 512)
    again = flip_simcc(*flip_simcc(x, y, skeleton.mirror_order), skeleton.mirror_order)
    assert torch.equal(again[0], x)
    assert torch.equal(again[1], y)


def test_shift_moves_the_mirrored_map_one_cell_to_the_right() -> None:
    maps = torch.zeros(1, 17, 4, 6)
    maps[0, 5, 1, 4] = 1.0  # the left shoulder at column 4; mirrored it is the right one at column 1
    plain = flip_heatmaps(maps, COCO17.mirror_order, shift=False)
    shifted = flip_heatmaps(maps, COCO17.mirror_order, shift=True)
    assert plain[0, 6, 1].tolist() == [0, 1, 0, 0, 0, 0]
    assert shifted[0, 6, 1].tolist() == [0, 0, 1, 0, 0, 0]
