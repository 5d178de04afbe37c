"""Skeletons, boxes, heatmaps, ids and trails on pictures."""

from mrpose_cli.drawing.overlay import Style, draw_poses, id_color
from mrpose_cli.drawing.trails import Painter

__all__ = ["Painter", "Style", "draw_poses", "id_color"]
