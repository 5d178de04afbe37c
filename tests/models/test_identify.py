"""What a weights file turns out to be, whoever wrote it, and that it runs as such."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from network_parity import Fixture, filled, load_fixture
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from mrpose_cli import load_pipeline
from mrpose_cli.cli import app
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models import convert, create_model, identify, load_model
from mrpose_cli.skeletons import COCO17, MPII16, from_document, get_skeleton
from mrpose_cli.weights.manifest import find_pose, shipped_folder
from mrpose_cli.weights.store import WeightsStore


def save(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"state_dict": state, "meta": {"epoch": np.int64(210), "mean": np.ones(3)}}, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MRFeaNet2 on CSPNeXt-s in the authors' layout."""
    state = filled(lambda: create_model("mrfea2-cspnext-s")).state_dict()
    return save(tmp_path_factory.mktemp("small") / "small.pth", dict(state))


@pytest.mark.parametrize(
    ("fixture", "conventions"),
    [
        ("official-simplebaseline-res50-17kpt-256x192", "authors-bgr"),
        ("official-mrfea1-res50-16kpt-256x256", "authors-bgr"),
        ("mmpose-simplebaseline-res50-17kpt-256x192", "mmpose"),
        ("official-rsn18-17kpt-256x192", "authors-rsn"),
        ("mmpose-rsn18-17kpt-256x192", "mmpose-megvii"),
        ("mmpose-rtmpose-s-26kpt-256x192", "mmpose-simcc"),
    ],
)
def test_conventions_follow_the_layout(fixture: str, conventions: str, tmp_path: Path) -> None:
    reference: Fixture = load_fixture(fixture)
    entry = identify(save(tmp_path / "weights.pth", reference.state()))
    assert entry.arch == reference.network
    assert entry.joints == reference.joints
    assert entry.input_size == reference.input_size
    assert entry.conventions == conventions
    assert entry.skeleton == (MPII16 if reference.joints == 16 else COCO17)
    assert entry.color == ("bgr" if conventions.startswith("authors") else "rgb")


def test_a_published_file_name_or_a_model_name_decides_what_tensors_cannot(tmp_path: Path) -> None:
    state = load_fixture("mmpose-hrnet-w32-17kpt-256x192").state()
    unnamed = save(tmp_path / "mine.pth", state)
    assert identify(unnamed).codec == "msra"
    assert identify(unnamed, "hrnet-w32-udp-mmpose").codec == "udp"
    published = find_pose("hrnet-w32-dark-mmpose")
    assert identify(Path(shutil.copy(unnamed, tmp_path / published.file))) == published
    with pytest.raises(WeightsError, match="holds hrnet-w32, not rsn-50"):
        identify(unnamed, "rsn-50")


def test_a_converted_file_says_itself_what_it_is(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    written = convert(small, target, "mrfea2-cspnext-s")
    assert written.conventions == "mrpose"
    assert written.codec == "udp"
    renamed = target.rename(tmp_path / "anything.safetensors")
    assert identify(renamed) == written
    with pytest.raises(UsageError, match="holds mrfea2-cspnext-s, not rsn-18"):
        identify(renamed, "rsn-18")

    x = torch.randn(1, 3, 256, 192)
    with torch.inference_mode():
        assert torch.equal(load_model(renamed)(x), load_model(small)(x))


def test_a_converted_file_runs_as_it_is(small: Path, samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "my own.safetensors"
    convert(small, target, "mrfea2-cspnext-s")
    photo = samples / "basketball1.png"
    plain, half = (
        load_pipeline(weights=target, detector="whole-image", device="cpu", dtype=dtype)
        for dtype in ("fp32", "bf16")
    )
    assert plain.estimator.entry.codec == "udp"
    assert plain.estimator.crop_spec.aligned
    assert plain.estimator.flip
    [exact], [rough] = plain([photo]), half([photo])
    assert exact.keypoints.shape == (1, 17, 2)
    assert np.isfinite(exact.keypoints).all()
    assert np.abs(rough.scores - exact.scores).max() < 0.05 * np.abs(exact.scores).max()
    same = load_pipeline(
        "mrfea2-cspnext-s", weights=small, detector="whole-image", device="cpu", dtype="fp32"
    )
    assert np.array_equal(same([photo])[0].keypoints, exact.keypoints)


def test_load_model_by_name_goes_through_the_store(tmp_path: Path) -> None:
    store = WeightsStore(home=tmp_path, offline=True, shipped=tmp_path)
    with pytest.raises(WeightsError, match="by hand"):
        load_model("mrfea2-cspnext-s", store=store)
    store.folder.mkdir(parents=True)
    shutil.copy(shipped_folder() / find_pose("mrfea2-cspnext-s").file, store.folder)
    assert not load_model("mrfea2-cspnext-s", store=store).training
    with pytest.raises(UsageError, match="did you mean"):
        load_model("mrfea2-cspnext-x", store=store)
    with pytest.raises(WeightsError, match="no weights file"):
        load_model(tmp_path / "none.pth", store=store)


def test_load_model_takes_any_number_of_joints(tmp_path: Path) -> None:
    state = filled(lambda: create_model("mrheat2-r18", joints=21)).state_dict()
    network = load_model(save(tmp_path / "hands.pth", dict(state)))
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 128, 128)).shape == (1, 21, 32, 32)
    with pytest.raises(WeightsError, match="21 joints; say which they are with"):
        identify(tmp_path / "hands.pth")


def test_a_16_joint_hrnet_is_for_mpii(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = create_model("hrnet-w32", joints=16)
    path = tmp_path / "pose_hrnet_w32_256x256.pth"
    save(path, dict(network.to_empty(device="cpu").state_dict()))
    assert identify(path) == find_pose("hrnet-w32-mpii")


def test_a_size_that_nothing_states_is_assumed_aloud(small: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    assert identify(small, remark=notes.append).input_size == (256, 192)
    [note] = notes
    assert note == (
        "small.pth does not state its input size; 256x192 is assumed; "
        "pass `input_size` HxW if it was trained at another"
    )
    told = Path(shutil.copy(small, tmp_path / "mine_384x288.pth"))
    assert identify(told, remark=notes.append).input_size == (384, 288)
    simcc = save(tmp_path / "simcc.pth", load_fixture("mmpose-rtmpose-s-26kpt-256x192").state())
    identify(simcc, remark=notes.append)
    identify(small, "mrfea2-cspnext-s", remark=notes.append)  # who names a row names its size
    converted = tmp_path / "converted.safetensors"
    assert convert(small, converted, input_size=(384, 288), remark=notes.append).input_size == (384, 288)
    assert identify(converted, remark=notes.append).input_size == (384, 288)
    assert len(notes) == 1
    assert identify(told, "mrfea2-cspnext-s", remark=notes.append).input_size == (256, 192)
    assert "by its name for 384x288" in notes[1]


def test_an_input_size_is_for_networks_that_take_any(small: Path, tmp_path: Path) -> None:
    assert identify(small, input_size=(384, 288)).input_size == (384, 288)
    simcc = save(tmp_path / "simcc.pth", load_fixture("mmpose-rtmpose-s-26kpt-256x192").state())
    assert identify(simcc, input_size=(256, 192)).input_size == (256, 192)
    with pytest.raises(UsageError, match="256x192 and no others"):
        identify(simcc, input_size=(384, 288))
    with pytest.raises(UsageError, match="256x192 and no others"):
        identify(tmp_path / "mine.onnx", "rtmpose-s", input_size=(384, 288))
    # Figures of the published size are not those of another.
    assert not identify(small, "mrfea2-cspnext-s", (384, 288)).metrics
    assert identify(small, "mrfea2-cspnext-s", (256, 192)).metrics


def test_an_input_size_on_the_command_line(small: Path, samples: Path, tmp_path: Path) -> None:
    photo = str(samples / "basketball1.png")

    def image(out: str, *flags: str) -> tuple[int, str]:
        command = [
            "image",
            photo,
            "--whole-image",
            "--no-overlay",
            "--device",
            "cpu",
            "-o",
            str(tmp_path / out),
        ]
        result = CliRunner().invoke(app, [*command, *flags])
        return result.exit_code, result.stderr

    def ran_at(out: str) -> list[int]:
        size: list[int] = json.loads((tmp_path / out / "poses.json").read_text())["info"]["input_size"]
        return size

    code, err = image("assumed", "--weights", str(small))
    assert (code, ran_at("assumed")) == (0, [256, 192])
    assert err.count("note: small.pth does not state its input size; 256x192 is assumed") == 1
    code, err = image("said", "--weights", str(small), "--input-size", "384x288")
    assert (code, ran_at("said"), err) == (0, [384, 288], "")
    for flags, message in (
        (("--input-size", "384x288"), "pass it with --weights"),
        (("--weights", str(small), "--input-size", "384"), "wants height x width such as 256x192, not 384"),
        (("--weights", str(small), "--input-size", "384x200"), "multiples of 32"),
    ):
        code, err = image("refused", *flags)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert message in err


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["weights", "convert", *map(str, args)])
    return result.exit_code, result.stdout, result.stderr


def test_convert_on_the_command_line(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    code, out, _ = run(small, target)
    assert code == 0
    assert "mrfea2-cspnext-s" in out
    assert "authors-bgr" in out
    code, _, err = run(small, target)
    assert code == 2
    assert "--overwrite" in err
    code, out, err = run(small, target, "--overwrite", "--input-size", "384x288")
    assert (code, err) == (0, "")
    assert "384x288" in out
    assert identify(target).input_size == (384, 288)
    assert run(small, target, "--overwrite", "--model", "mrfea2-cspnext-s")[0] == 0
    assert identify(target).codec == "udp"


def test_convert_turns_the_wrong_file_away_in_one_line(small: Path, samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    other = tmp_path / "resnet.safetensors"
    save_file({"fc.weight": torch.zeros(3, 4), "layer1.0.conv1.weight": torch.zeros(1)}, other)
    cases = [
        (small, tmp_path / "out.pth", (), 2, "must end in .safetensors"),
        (samples / "camera.png", target, (), 1, "not a readable checkpoint"),
        (tmp_path / "none.pth", target, (), 1, "no weights file"),
        (other, target, (), 1, "ResNet classifier"),
        (small, target, ("--model", "mrfea2-r50"), 1, "does not fit"),
        (small, target, ("--model", "nonsense"), 2, "no pose checkpoint"),
    ]
    for source, out, options, code, message in cases:
        found, _, err = run(source, out, *options)
        assert (found, len(err.splitlines())) == (code, 1), err
        assert message in err
    assert not target.exists()


FIVE = from_document({"name": "five", "joints": list("abcde"), "limbs": [["a", "b"]]}, "five.toml")


def test_a_skeleton_travels_in_the_file(tmp_path: Path) -> None:
    state = filled(lambda: create_model("mrfea2-r18", joints=5)).state_dict()
    source, target = save(tmp_path / "five.pth", dict(state)), tmp_path / "five.safetensors"
    with pytest.raises(WeightsError, match="5 joints; say which they are"):
        convert(source, target)
    with pytest.raises(WeightsError, match="5 joints; say which they are"):
        convert(source, target, skeleton=get_skeleton("halpe26"))
    convert(source, target, input_size=(256, 192), skeleton=FIVE)
    entry = identify(target)
    assert entry.skeleton == FIVE
    assert entry.skeleton.sigmas_source == FIVE.sigmas_source


def test_file_names_tell_the_dataset_where_the_number_of_joints_does_not(tmp_path: Path) -> None:
    with torch.device("meta"):
        animals, hands = (create_model("hrnet-w32", joints=joints) for joints in (17, 21))
    for network, name, skeleton in (
        (animals, "hrnet_w32_ap10k_256x256-18aac840_20211029.pth", "ap10k"),
        (animals, "hrnet_w32_mine_256x192.pth", "coco17"),
        (hands, "hrnet_w32_onehand10k_256x256.pth", "hand21"),
    ):
        path = tmp_path / name
        save(path, dict(network.to_empty(device="cpu").state_dict()))
        assert identify(path).skeleton == get_skeleton(skeleton)


def test_the_default_network_has_feet() -> None:
    row = find_pose("rtmpose-s")
    assert row.skeleton == COCO17
    assert row.read_as(get_skeleton("halpe26")).skeleton.joints[20] == "left_big_toe"
    with pytest.raises(UsageError, match="26 joints, those of coco17 or halpe26, not the 16 of mpii16"):
        row.read_as(MPII16)
