"""Which checkpoints a run comes to; torch is imported only where a network is named or brought along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mrpose_cli.errors import UsageError, WeightsError, parameter
from mrpose_cli.pipeline.options import WHOLE_IMAGE, ModelOptions
from mrpose_cli.skeletons import find_skeleton
from mrpose_cli.weights.manifest import (
    DetectorEntry,
    PoseEntry,
    find_detector,
    find_pose,
    load_manifest,
    own_detector,
)
from mrpose_cli.weights.store import WeightsStore, file_sha256

DEFAULT_MODEL = "rtmpose-s"
SHIPPED_MODEL = "mrfea2-cspnext-s"  # comes with mrpose, and runs where the default cannot be had


def find_checkpoint(options: ModelOptions, remark: Callable[[str], None]) -> PoseEntry:
    """Find the entry of the pose network that is asked for.

    Raises:
        UsageError: an unknown name, or options that do not go together.
        WeightsError: a file of the user's that is no checkpoint.
    """
    name = None
    if options.model:
        from mrpose_cli.models.registry import canonical

        name = canonical(options.model)
    skeleton = find_skeleton(options.joints, remark) if options.joints else None
    if options.weights is not None:
        path = options.weights.expanduser()
        if not path.is_file():
            raise WeightsError(f"there is no weights file at {path}")
        from mrpose_cli.models.identify import identify

        return identify(path, name, options.input_size, remark, skeleton)
    if options.input_size is not None:
        raise UsageError(
            f"{parameter('input_size')} is for a file of your own; pass it with {parameter('weights')}"
        )
    if name is not None and name not in {row.name for row in load_manifest().pose}:
        from mrpose_cli.models.registry import list_models

        if name in list_models():
            raise UsageError(
                f"nobody published weights for {name}; pass a file of your own with {parameter('weights')}"
            )
    entry = find_pose(name or DEFAULT_MODEL)
    return entry if skeleton is None else entry.read_as(skeleton)


def settle(
    options: ModelOptions, store: WeightsStore, remark: Callable[[str], None]
) -> tuple[ModelOptions, dict[str, str]]:
    """See which models run, so that other processes can be told to run the same; nothing is loaded.

    Args:
        options: What was asked for; ``device`` is not looked at.
        store: Where weights are found; what is not there is fetched.
        remark: As of :func:`load_pipeline`.

    Returns:
        The options with the network named, and the SHA-256 of the files by what they are, ``"model"`` and
        ``"detector"``.

    Raises:
        UsageError: an unknown name.
        WeightsError: a checkpoint cannot be had.
    """
    wanted = find_checkpoint(options, remark)
    entry, path = resolve_checkpoint(wanted, options, store)
    if entry.name != wanted.name:
        remark(stand_in_note(wanted, entry))
    files = {"model": path}
    if options.detector != WHOLE_IMAGE:
        _, files["detector"] = detector_file(options.detector, store)
    named = options if options.weights else replace(options, model=entry.name)
    return named, {name: file_sha256(file) for name, file in files.items()}


def resolve_checkpoint(
    entry: PoseEntry, options: ModelOptions, store: WeightsStore
) -> tuple[PoseEntry, Path]:
    """Return a checkpoint and its file; where the default cannot be had, those of our own network.

    Raises:
        WeightsError: it cannot be had.
    """
    try:
        return entry, store.resolve(entry, options.weights)
    except WeightsError:
        shipped = find_pose(SHIPPED_MODEL)
        named = options.model or options.weights  # who names a network or a file gets no other
        if named or store.locate(shipped) is None:
            raise
    if options.joints:
        shipped = shipped.read_as(entry.skeleton)
    return shipped, store.resolve(shipped)


def stand_in_note(wanted: PoseEntry, entry: PoseEntry) -> str:
    """Say that another network runs than the default."""
    return (
        f"{entry.name}, which comes with mrpose, runs in place of {wanted.name}, which cannot be had "
        f"(`mrpose weights pull {wanted.name}` says why)"
    )


def detector_file(name: str, store: WeightsStore) -> tuple[DetectorEntry, Path]:
    """Find the checkpoint of a detector with a network, and its file.

    Raises:
        UsageError: there is no such detector.
        WeightsError: it cannot be had.
    """
    if name.endswith(".pt"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no detector file at {path}")
        return own_detector(), path
    entry = find_detector(name)
    return entry, store.resolve(entry)
