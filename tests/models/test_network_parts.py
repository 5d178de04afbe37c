"""Parts no published checkpoint reaches: the Pose Refine Machine, intermediate heatmaps, odd sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from network_parity import crops, drawn, filled
from torch import Tensor, nn

from mrpose_cli.models import create_model, model_info
from mrpose_cli.models.mlpe import MLPE, Pyramid
from mrpose_cli.models.rsn import RSN, PoseRefineMachine


def _relu_norm_conv(x: Tensor, weights: dict[str, Tensor], name: str, groups: int = 1) -> Tensor:
    kernel = weights[f"{name}.conv.weight"]
    x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=groups)

    def per_channel(part: str) -> Tensor:
        return weights[f"{name}.bn.{part}"][:, None, None]

    normed = (x - per_channel("running_mean")) / torch.sqrt(per_channel("running_var") + 1e-5)
    return (normed * per_channel("weight") + per_channel("bias")).clamp(min=0)


def test_pose_refine_machine_computes_its_formula() -> None:
    joints = 5
    machine = filled(lambda: PoseRefineMachine(joints)).double()
    weights = machine.state_dict()
    x = torch.randn(2, joints, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    o = _relu_norm_conv(x, weights, "conv")
    pooled = o.sum((2, 3), keepdim=True) / (16 * 12)
    a = 1 / (
        1
        + torch.exp(
            -_relu_norm_conv(_relu_norm_conv(pooled, weights, "joint_weight.0"), weights, "joint_weight.1")
        )
    )
    inner = _relu_norm_conv(o, weights, "pixel_weight.0")
    b = 1 / (1 + torch.exp(-_relu_norm_conv(inner, weights, "pixel_weight.1", groups=joints)))

    assert weights["pixel_weight.1.conv.weight"].shape == (joints, 1, 9, 9)
    assert 0.5 <= a.min() < a.max() < 1
    with torch.inference_mode():
        torch.testing.assert_close(machine(x), o * (1 + a * b))


def test_refinement_acts_on_the_last_heatmaps_alone() -> None:
    plain, refined = filled(lambda: RSN(3, 18, 2)), filled(lambda: RSN(3, 18, 2, refine=True))
    x = crops(1, (64, 64))
    with torch.inference_mode():
        before, after = plain.predictions(x), refined.predictions(x)
        assert all(torch.equal(b, a) for b, a in zip(before[:-1], after[:-1], strict=True))
        torch.testing.assert_close(after[-1], refined.refine(before[-1]))
        torch.testing.assert_close(refined(x), after[-1])


def test_rsn_gives_every_unit_s_heatmaps_for_training() -> None:
    model = filled(lambda: create_model("3xrsn-18", joints=4))
    assert isinstance(model, RSN)
    with torch.inference_mode():
        maps = model.predictions(crops(1, (64, 96)))
        assert [tuple(m.shape) for m in maps] == [(1, 4, 16, 24)] * 12
        torch.testing.assert_close(maps[-1], model(crops(1, (64, 96))))
        # A coarse unit's heatmaps are resized so that corners stay corners.
        coarsest = model.units[0].predict(model.features(crops(1, (64, 96)))[0])
    assert coarsest.shape == (1, 4, 2, 3)
    torch.testing.assert_close(maps[0][..., ::15, ::23], coarsest[..., ::1, ::2])


def test_every_rsn_parameter_learns_from_all_heatmaps() -> None:
    model = filled(lambda: create_model("2xrsn-18-prm", joints=4)).train()
    assert isinstance(model, RSN)
    sum(m.square().mean() for m in model.predictions(crops(2, (64, 64)))).backward()  # type: ignore[union-attr]
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_a_convolution_s_bias_goes_into_the_norm_behind_it() -> None:
    conv, norm = nn.Conv2d(3, 4, 3, bias=True).double(), nn.BatchNorm2d(4).double()
    own = {f"top.conv.conv.{k}": drawn(f"conv.{k}", tuple(v.shape)) for k, v in conv.state_dict().items()}
    own |= {f"top.conv.bn.{k}": drawn(f"bn.{k}", tuple(v.shape)) for k, v in norm.state_dict().items()}
    conv.load_state_dict({k.removeprefix("top.conv.conv."): v for k, v in own.items() if ".conv.conv." in k})
    norm.load_state_dict({k.removeprefix("top.conv.bn."): v for k, v in own.items() if ".bn." in k})
    norm.eval()

    folded = model_info("rsn-18").remap({k: v.double() for k, v in own.items()})
    assert "stem.conv.bias" not in folded
    x = crops(1, (8, 8)).double()
    mean, var, scale, shift = (
        folded[f"stem.bn.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
    )
    plain = F.batch_norm(F.conv2d(x, folded["stem.conv.weight"]), mean, var, scale, shift)
    with torch.inference_mode():
        torch.testing.assert_close(plain, norm(conv(x)), rtol=1e-12, atol=1e-12)


def test_mlpe_gives_every_level_s_heatmaps_for_training() -> None:
    model = filled(lambda: create_model("mlpe-s50", joints=4))
    assert isinstance(model, MLPE)
    x = crops(1, (128, 96))
    with torch.inference_mode():
        maps = model.predictions(x)
        assert [tuple(m.shape) for m in maps] == [(1, 4, 32, 24)] * 5
        torch.testing.assert_close(maps[-1], model(x))


def test_every_mlpe_parameter_learns_from_all_heatmaps() -> None:
    model = filled(lambda: create_model("mlpe-s50", joints=4)).train()
    assert isinstance(model, MLPE)
    sum(m.square().mean() for m in model.predictions(crops(2, (64, 64)))).backward()  # type: ignore[union-attr]
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_mlpe_pools_in_proportion_to_its_input() -> None:
    pyramid = filled(lambda: Pyramid(4))
    cells: list[tuple[int, ...]] = []
    for conv in pyramid.pooled:
        conv.register_forward_pre_hook(lambda _, inputs: cells.append(tuple(inputs[0].shape[-2:])))
    with torch.inference_mode():
        pyramid.enhance(torch.zeros(1, 2048, 12, 9))  # of 384x288, as published
        pyramid.enhance(torch.zeros(1, 2048, 24, 18))
        pyramid.enhance(torch.zeros(1, 2048, 4, 3))
    assert cells == [(1, 1), (2, 1), (3, 2), (2, 1), (4, 3), (7, 5), (1, 1), (1, 1), (1, 1)]


def test_hourglass_takes_sizes_its_levels_do_not_divide() -> None:
    model = filled(lambda: create_model("hourglass-52", joints=2))
    with torch.inference_mode():
        assert model(crops(1, (96, 160))).shape == (1, 2, 24, 40)
