"""Colors, blur, noise and hidden parts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mrpose_cli.training.appearance import hide, vary
from mrpose_cli.training.config import TrainConfig

STILL = TrainConfig(color=0.0, gray=0.0, blur=0.0, noise=0.0)


def _pictures(count: int = 40) -> Tensor:
    return 255 * torch.rand(count, 3, 32, 24, generator=torch.Generator().manual_seed(5))


def _vary(images: Tensor, config: TrainConfig, seed: int = 0) -> Tensor:
    return vary(images.clone(), config, torch.Generator().manual_seed(seed), random.Random(seed))


def test_nothing_varies_if_nothing_is_to() -> None:
    assert torch.equal(_vary(_pictures(), STILL), _pictures())


def test_colors_vary_crop_by_crop_within_their_bounds() -> None:
    gray = torch.full((500, 3, 4, 4), 100.0)  # without contrast or saturation, brightness is what is left
    varied = _vary(gray, replace(STILL, color=0.3))
    assert varied.flatten(2).std(-1).max() < 1e-3
    assert varied.min() >= 100 * 0.7 * 0.9 - 0.01 and varied.max() <= 100 * 1.3 * 1.1 + 0.01
    assert varied[:, 0, 0, 0].std() > 10
    assert (varied[:, 0] - varied[:, 2]).abs().max() > 5  # the channels have gains of their own


def test_gray_crops_have_no_color() -> None:
    varied = _vary(_pictures(), replace(STILL, gray=1.0))
    assert torch.allclose(varied[:, 0], varied[:, 1], atol=1e-3)
    luminance = (_pictures() * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    assert torch.allclose(varied[:, 2], luminance, atol=1e-2)


def test_blur_smooths_its_share_of_the_crops_and_keeps_their_brightness() -> None:
    images = _pictures()
    varied = _vary(images, replace(STILL, blur=0.25))
    changed = (varied - images).abs().amax((1, 2, 3)) > 1e-3
    assert int(changed.sum()) in (10, 11)
    assert (varied.flatten(2).std(-1) < images.flatten(2).std(-1))[changed].all()
    center = slice(8, 16)  # beyond the edge it is black
    assert (varied[changed, :, center, center].mean() - images[changed, :, center, center].mean()).abs() < 10


def test_noise_is_of_the_promised_strength() -> None:
    gray = torch.full((200, 3, 32, 24), 128.0)
    strength = (_vary(gray, replace(STILL, noise=1.0)) - gray).flatten(1).std(1)
    assert 1.8 < strength.min() < 4 and 17 < strength.max() < 21


def test_hiding_takes_one_rectangle_of_its_share_of_the_crops() -> None:
    images = torch.ones(400, 3, 100, 80)
    hidden = hide(images, 0.5, torch.Generator().manual_seed(0)) == 0
    assert hidden.flatten(1).any(1).float().mean() == pytest.approx(0.5, abs=0.07)
    assert torch.equal(hidden[:, 0], hidden[:, 2])
    for one in hidden[:, 0][hidden.flatten(1).any(1)]:
        rows, columns = one.any(1), one.any(0)
        assert int(one.sum()) == int(rows.sum()) * int(columns.sum())
        assert rows.sum() <= 41 and columns.sum() <= 33
    assert torch.equal(hide(images, 0.0, torch.Generator()), images)
