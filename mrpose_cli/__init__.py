"""mrpose: human poses from photos, clips and COCO.

Example:
    >>> from mrpose_cli import load_pipeline
    >>> pipeline = load_pipeline()
    >>> poses = pipeline(["samples/basketball1.png"])[0]
    >>> poses.keypoints.shape  # (people, joints, x and y in image pixels)
    (2, 17, 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrpose_cli.version import __version__

__all__ = ["Pipeline", "Poses", "__version__", "load_pipeline"]

if TYPE_CHECKING:
    from mrpose_cli.pipeline.factory import load_pipeline
    from mrpose_cli.pipeline.pipeline import Pipeline
    from mrpose_cli.poses import Poses

# Imported on first use: torch alone takes longer than `mrpose --help` may.
_HOMES = {
    "Pipeline": "mrpose_cli.pipeline.pipeline",
    "Poses": "mrpose_cli.poses",
    "load_pipeline": "mrpose_cli.pipeline.factory",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
