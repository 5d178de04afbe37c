from pathlib import Path

import numpy as np
import pytest
import synthetic

from mrpose_cli.pipeline import crops
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, to_image, warp

FIXTURE = Path(__file__).parents[1] / "fixtures" / "decode" / "crops.npz"


@pytest.mark.parametrize(("key", "aligned"), [("crops_msra", False), ("crops_udp", True)])
def test_crops_equal_the_reference_implementations(key: str, aligned: bool) -> None:
    expected = np.load(FIXTURE)[key].astype(int)  # every fourth pixel
    affines = crop_affines(synthetic.boxes()[:4], CropSpec((256, 192), aligned=aligned))
    found = np.stack([warp(synthetic.picture(), affine, (256, 192)) for affine in affines])
    difference = np.abs(found[:, ::4, ::4].astype(int) - expected)
    assert difference.mean() < 0.5
    assert difference.max() < 8


def test_a_huge_picture_gives_the_same_crop_as_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    image, boxes = synthetic.picture(), synthetic.boxes()
    affines = crop_affines(boxes, CropSpec((256, 192)))
    whole = [warp(image, affine, (256, 192)).astype(int) for affine in affines]
    monkeypatch.setattr(crops, "_LARGEST_WARP_SIDE", 100)
    for affine, expected in zip(affines, whole, strict=True):
        assert np.abs(warp(image, affine, (256, 192)).astype(int) - expected).max() <= 1


def test_a_panorama_wider_than_cv2_can_warp() -> None:
    image = np.zeros((64, 40_000, 3), np.uint8)
    image[:, 39_000:39_100] = 200
    affine = crop_affines(np.array([[39_000.0, 0, 39_100, 64]]), CropSpec((256, 192), padding=(1, 1)))[0]
    assert warp(image, affine, (256, 192))[128, 96].tolist() == [200, 200, 200]


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_points_come_back_where_they_were(aligned: bool, before: bool) -> None:
    boxes = synthetic.boxes()
    spec = CropSpec((384, 288), padding=(1.09, 1.135), padding_before_aspect=before, aligned=aligned)
    affines = crop_affines(boxes, spec)
    points = np.random.default_rng(0).uniform(-50, 700, (12, 17, 2))
    inside = np.einsum("pij,pkj->pki", affines[:, :, :2], points) + affines[:, None, :, 2]
    assert np.abs(to_image(inside, affines) - points).max() < 1e-3


def test_rsn_pads_before_it_fits_the_aspect_ratio() -> None:
    box = np.array([[100.0, 100, 200, 400]])  # 100 x 300
    affine = crop_affines(box, CropSpec((256, 192), (1.09, 1.135), padding_before_aspect=True))[0]
    # 109 x 340.5 becomes 255.375 x 340.5, so that 192 / 255.375 is the scale
    assert affine[0, 0] == pytest.approx(192 / 255.375)
    fitted_first = crop_affines(box, CropSpec((256, 192), (1.09, 1.135)))[0]
    assert fitted_first[0, 0] == pytest.approx(192 / (225 * 1.09))


def test_a_box_without_area_keeps_a_finite_transform() -> None:
    affines = crop_affines(np.array([[5.0, 5, 5, 5], [3, 3, 2, 2]]), CropSpec((256, 192)))
    assert np.isfinite(affines).all()
    assert warp(np.full((10, 10, 3), 9, np.uint8), affines[0], (256, 192)).shape == (256, 192, 3)
