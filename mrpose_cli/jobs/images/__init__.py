"""``mrpose image``: photos in; overlays, COCO JSON and lines of poses out."""
