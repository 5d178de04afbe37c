"""``mrpose video``: clips, cameras and streams in; overlays, COCO JSON and lines of poses out."""
