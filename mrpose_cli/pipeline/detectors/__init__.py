"""Where person boxes come from: a detector, a file, or the whole picture."""

from mrpose_cli.pipeline.detectors.base import Detector, FileBoxes, WholeImage

__all__ = ["Detector", "FileBoxes", "WholeImage"]
