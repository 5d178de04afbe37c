"""Skeletons, boxes and heatmaps on pictures."""

from mrpose_cli.drawing.overlay import Style, draw_poses

__all__ = ["Style", "draw_poses"]
