"""What skeletons say of their joints."""

from mrpose_cli.skeletons import COCO17, MPII16


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
