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
    monkeypatch.setattr(crops, "_LARGEST_WARP_SIDE", 630)
    for affine, expected in zip(affines, whole, strict=True):
        assert np.abs(warp(image, affine, (256, 192)).astype(int) - expected).max() <= 1


def test_a_panorama_wider_than_cv2_can_warp() -> None:
    image = np.zeros((64, 40_000, 3), np.uint8)
    image[:, 39_000:39_100] = 200
    affine = crop_affines(np.array([[39_000.0, 0, 39_100, 64]]), CropSpec((256, 192), padding=(1, 1)))[0]
    assert warp(image, affine, (256, 192))[128, 96].tolist() == [200, 200, 200]


def _bilinear(image: np.ndarray, affine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A crop, computed plainly; black beyond the picture."""
    y = (np.arange(size[0]) - affine[1, 2]) / affine[1, 1]
    x = (np.arange(size[1]) - affine[0, 2]) / affine[0, 0]
    crop = np.zeros((*size, 3))
    for below, right in np.ndindex(2, 2):
        row, column = np.floor(y) + below, np.floor(x) + right
        i, j = (row >= 0) & (row < image.shape[0]), (column >= 0) & (column < image.shape[1])
        share = np.outer(1 - np.abs(y - row)[i], 1 - np.abs(x - column)[j])
        crop[np.ix_(i, j)] += share[..., None] * image[np.ix_(row[i].astype(int), column[j].astype(int))]
    return crop


@pytest.mark.parametrize("shape", [(480, 640), (100, 40_000), (40_000, 100)])
@pytest.mark.parametrize("aligned", [False, True])
def test_boxes_of_any_place_and_size_in_pictures_of_any_size(shape: tuple[int, int], aligned: bool) -> None:
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([(columns // 50) % 200 + 55, (rows // 50) % 200 + 55, (rows + columns) // 70 % 200], -1)
    image = image.astype(np.uint8)
    beyond = [
        [-500, 0, -400, 80], [width + 400, 0, width + 500, 80], [0, -500, 50, -400],
        [0, height + 400, 50, height + 500], [1e6, 1e6, 1e6 + 100, 1e6 + 200], [-3e6, 0, -3e6 + 100, 80],
        [1e12, 1e12, 1e12 + 100, 1e12],
    ]  # fmt: skip
    within = [
        [0, 0, width, height], [-5e5, -5e5, 5e5, 5e5], [0, 0, 1e6, 1e6], [-1e9, -1e9, 1e9, 1e9],
        [0, 0, 1e12, 1e12], [20, 20, 20.01, 20.01], [60, 60, 20, 20], [-1e6, -1e6, 50, 50],
        [width / 2 - 1e4, 0, width / 2 + 1e4, height], [0, height / 2 - 1e4, width, height / 2 + 1e4],
    ]  # fmt: skip
    for box in (*beyond, *within):
        affine = crop_affines(np.array([box]), CropSpec((256, 192), aligned=aligned))[0]
        crop = warp(image, affine, (256, 192)).astype(float)
        assert crop.shape == (256, 192, 3)
        if box in beyond:
            assert not crop.any(), box
            continue
        # A pixel or a few at edges may differ, where positions are rounded or pixels left out.
        wrong = np.abs(crop - _bilinear(image, affine, (256, 192))).max(-1) > 12
        assert wrong.mean() < 2e-3, box


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
