"""Which crops a step sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mrpose_cli.training.batches import Sampler, epoch_rows, step_seed
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.labels import Labels, Person
from mrpose_cli.training.optimize import Average, learning_rate

CPU = torch.device("cpu")


def test_every_epoch_sees_every_crop_once_in_an_order_of_its_own() -> None:
    sampler = Sampler(np.arange(10), 4, (0, 0), CPU)
    stream = torch.cat([sampler.step(step) for step in range(5)])  # two epochs of 10 in five steps of 4
    assert sorted(stream[:10].tolist()) == sorted(stream[10:].tolist()) == list(range(10))
    assert stream[:10].tolist() != stream[10:].tolist()


def test_a_step_needs_nothing_but_its_number() -> None:
    steps = [Sampler(np.arange(7), 3, (0, 0), CPU).step(number).tolist() for number in range(12)]
    sampler = Sampler(np.arange(7), 3, (0, 0), CPU)
    assert [sampler.step(number).tolist() for number in range(12)] == steps
    other = Sampler(np.arange(7), 3, (0, 1), CPU)
    assert [other.step(number).tolist() for number in range(12)] != steps


def test_a_batch_may_be_larger_than_the_data() -> None:
    first = Sampler(np.arange(3), 8, (0, 0), CPU).step(0).tolist()
    assert len(first) == 8 and sorted(first[:3]) == sorted(first[3:6]) == [0, 1, 2]


def test_crops_that_people_labelled_may_be_seen_more_often() -> None:
    said = Person("a", "coco", "1", np.full((17, 3), 2, np.float32), None, 1.0, 1.0)
    guessed = Person("b", "coco", "2", None, np.full((17, 3), 1, np.float32), 1.0, 1.0)
    labels = Labels.of([guessed, said, guessed], TrainConfig(), 17)
    assert epoch_rows(labels, 1).tolist() == [0, 1, 2]
    sampler = Sampler(epoch_rows(labels, 3), 5, (0, 0), CPU)
    assert sorted(sampler.step(0).tolist()) == sorted(sampler.step(1).tolist()) == [0, 1, 1, 1, 2]
    assert sampler.epoch_steps == 1


def test_seeds_differ_by_step_and_by_process() -> None:
    seeds = {step_seed(seed, rank, step) for seed in (0, 1) for rank in (0, 1) for step in range(50)}
    assert len(seeds) == 200 and all(0 <= seed < 2**63 for seed in seeds)


def test_the_learning_rate_rises_and_falls() -> None:
    config = TrainConfig(lr=1.0, warmup=9, final_lr=0.1)
    rates = [learning_rate(config, step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1, abs=1e-3)
    assert rates[500] == pytest.approx(0.55) and rates[1000] == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert learning_rate(config, 5000, 1000) == pytest.approx(0.1)


class Two(torch.nn.Module):
    """A weight and statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 1, bias=False)
        self.norm = torch.nn.BatchNorm1d(1)


def test_the_average_follows_weights_and_statistics() -> None:
    network = Two()
    average = Average(network, 0.9)
    averaged = average.network.state_dict()  # shares its memory

    def update(weight: float, step: int) -> float:
        with torch.no_grad():
            network.line.weight.fill_(weight)
            network.get_buffer("norm.running_mean").fill_(2.0)
            network.get_buffer("norm.num_batches_tracked").fill_(step)
        average.update(step)
        return float(averaged["line.weight"])

    before = float(averaged["line.weight"])
    values = [update(before + 1.0, step) for step in range(60)]
    assert values[0] == pytest.approx(before + 0.9, rel=1e-5)  # it begins with little memory
    assert values[-1] == pytest.approx(before + 1.0, abs=0.01)
    assert float(averaged["norm.running_mean"]) == pytest.approx(2.0, abs=0.01)
    assert int(averaged["norm.num_batches_tracked"]) == 59
    assert not average.network.training
    assert update(before + 2.0, 1000) == pytest.approx(0.9 * values[-1] + 0.1 * (before + 2.0), rel=1e-5)
