"""The built-in skeletons."""

import tomllib
from pathlib import Path

import pytest

import mrpose_cli.skeletons
from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import COCO17, MPII16, NAMES, from_document, get_skeleton, to_document
from mrpose_cli.skeletons.document import to_toml

FOLDER = Path(mrpose_cli.skeletons.__file__).parent


def test_sigmas_are_cocos_where_coco_has_the_joint() -> None:
    thousandths = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    assert COCO17.sigmas == tuple(value / 1000 for value in thousandths)
    assert MPII16.sigmas[MPII16.joints.index("left_hip")] == 0.107
    assert MPII16.sigmas[MPII16.joints.index("thorax")] == 0.08


def test_a_mirror_exchanges_left_and_right() -> None:
    for skeleton in (COCO17, MPII16):
        for joint, other in enumerate(skeleton.mirror_order):
            assert skeleton.mirror_order[other] == joint
            name = skeleton.joints[joint].replace("left", "?").replace("right", "left").replace("?", "right")
            assert skeleton.joints[other] == name


def test_every_file_is_listed_and_says_where_its_numbers_come_from() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(NAMES)
    for name in NAMES:
        document = tomllib.loads((FOLDER / f"{name}.toml").read_text())
        assert document["name"] == name
        assert document["source"] and document["sigmas_source"] and document["about"]


@pytest.mark.parametrize(
    ("name", "joints", "pairs"),
    [
        ("coco17", 17, 8),
        ("halpe26", 26, 11),
        ("mpii16", 16, 6),
        ("crowdpose14", 14, 6),
        ("coco-wholebody133", 133, 61),
        ("ap10k", 17, 7),
        ("animalpose", 20, 8),
        ("hand21", 21, 0),
        ("face68", 68, 29),
    ],
)
def test_numbers_of_joints_and_pairs(name: str, joints: int, pairs: int) -> None:
    skeleton = get_skeleton(name)
    assert len(skeleton.joints) == len(skeleton.sigmas) == len(skeleton.colors) == joints
    assert len(skeleton.flip_pairs) == pairs
    assert sorted(skeleton.mirror_order) == list(range(joints))
    limbs = {frozenset((skeleton.joints[a], skeleton.joints[b])) for a, b in skeleton.limbs}
    mirrored = {
        frozenset((skeleton.joints[skeleton.mirror_order[a]], skeleton.joints[skeleton.mirror_order[b]]))
        for a, b in skeleton.limbs
    }
    assert limbs == mirrored


def test_halpe_and_wholebody_begin_with_cocos_joints() -> None:
    for name in ("halpe26", "coco-wholebody133"):
        skeleton = get_skeleton(name)
        assert skeleton.joints[:17] == COCO17.joints
        assert skeleton.sigmas[:17] == COCO17.sigmas


def test_left_is_the_persons_own_in_faces() -> None:
    face = get_skeleton("face68")
    # Of 68 points the jaw goes from the person's right ear (0) to the left one (16).
    assert (16, 0) in face.flip_pairs and (45, 36) in face.flip_pairs
    whole = get_skeleton("coco-wholebody133")
    assert {(a + 23, b + 23) for a, b in face.flip_pairs} <= set(whole.flip_pairs)


@pytest.mark.parametrize("name", NAMES)
def test_documents_and_toml_bring_all_of_it_back(name: str) -> None:
    skeleton = get_skeleton(name)
    for document in (to_document(skeleton), tomllib.loads(to_toml(skeleton))):
        again = from_document(document, "it")
        assert again == skeleton
        assert (again.source, again.sigmas_source) == (skeleton.source, skeleton.sigmas_source)


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean halpe26"):
        get_skeleton("halpe-26")
