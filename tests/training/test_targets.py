"""Heatmaps and losses."""

from __future__ import annotations

import pytest
import torch

from mrpose_cli.models.supervision import Supervision
from mrpose_cli.pipeline.decode import decode_heatmaps
from mrpose_cli.training.targets import heatmap_loss, heatmaps, shown, summed_loss

SIZE = (256, 192)


def test_decoding_gives_back_what_was_drawn() -> None:
    points = (
        torch.rand(20, 17, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([143.0, 207.0]) + 24
    )
    maps = heatmaps(points, SIZE, 2.0)
    assert maps.shape == (20, 17, 64, 48)
    decoded, _ = decode_heatmaps(maps, "udp", SIZE)
    assert (decoded - points).norm(dim=-1).max() < 0.05


def test_the_last_pixel_is_on_the_last_cell() -> None:
    maps = heatmaps(torch.tensor([[[0.0, 0.0], [191.0, 255.0]]]), SIZE, 2.0)
    assert maps[0, 0, 0, 0] == 1 and maps[0, 1, 63, 47] == pytest.approx(1, abs=1e-6)


def test_the_loss_is_one_for_those_who_know_nothing_and_zero_for_those_who_know() -> None:
    points = torch.full((2, 17, 2), 100.0)
    target, weights = heatmaps(points, SIZE, 2.0), torch.rand(2, 17)
    assert heatmap_loss(torch.zeros_like(target), target, weights, 2.0) == pytest.approx(1, rel=1e-3)
    assert heatmap_loss(target, target, weights, 2.0) == 0


def test_joints_of_weight_zero_teach_nothing() -> None:
    target, weights = heatmaps(torch.full((1, 17, 2), 100.0), SIZE, 2.0), torch.ones(1, 17)
    weights[0, 3] = 0
    predicted = target.clone().requires_grad_()
    wrong = predicted + torch.nn.functional.one_hot(torch.tensor(3), 17).view(1, 17, 1, 1)
    loss = heatmap_loss(wrong, target, weights, 2.0)
    loss.backward()
    assert loss == 0 and predicted.grad is not None and not predicted.grad.any()
    assert heatmap_loss(wrong, target, torch.zeros(1, 17), 2.0) == 0


def test_the_hardest_joints_of_each_person_count() -> None:
    target, weights = heatmaps(torch.full((2, 3, 2), 100.0), SIZE, 2.0), torch.ones(2, 3)
    predicted = target.clone()
    predicted[0, 1] = 0  # one joint of the first person is not known, and two of the second
    predicted[1, :2] = 0
    assert heatmap_loss(predicted, target, weights, 2.0, hardest=1) == pytest.approx(1, rel=1e-3)
    assert heatmap_loss(predicted, target, weights, 2.0, hardest=2) == pytest.approx(3 / 4, rel=1e-3)
    assert heatmap_loss(predicted, target, weights, 2.0, hardest=9) == pytest.approx(3 / 6, rel=1e-3)


def test_all_predictions_are_learned_from_targets_of_their_own() -> None:
    points, weights = torch.full((2, 17, 2), 100.0), torch.ones(2, 17)
    how = [Supervision(spread=2.0, weight=0.25), Supervision(hardest=8)]

    def drawn(spread: float) -> torch.Tensor:
        return heatmaps(points, SIZE, 2 * spread)

    def loss(*spreads: float) -> torch.Tensor:
        maps = [drawn(spread) if spread else torch.zeros(2, 17, 64, 48) for spread in spreads]
        return summed_loss(maps, how, drawn, weights, lambda spread: 2 * spread)

    assert loss(2, 1) == 0
    assert loss(0, 0) == pytest.approx(1, rel=0.02)  # of the wide ones a little lies beyond the map
    assert loss(2, 0) == pytest.approx(0.8, rel=0.02)


def test_confidence_is_a_weight() -> None:
    target = heatmaps(torch.full((1, 2, 2), 100.0), SIZE, 2.0)
    predicted = torch.stack([target[0, 0], torch.zeros(64, 48)])[None]
    assert heatmap_loss(predicted, target, torch.tensor([[1.0, 1.0]]), 2.0) == pytest.approx(0.5, rel=1e-3)
    assert heatmap_loss(predicted, target, torch.tensor([[0.9, 0.1]]), 2.0) == pytest.approx(0.1, rel=1e-3)


def test_joints_beyond_the_map_do_not_count() -> None:
    points = torch.tensor([[[-20.0, 100.0], [-30.0, 100.0], [100.0, 275.0], [100.0, 290.0], [100.0, 100.0]]])
    assert shown(points, torch.ones(1, 5), SIZE, 2.0).tolist() == [[1, 0, 1, 0, 1]]
