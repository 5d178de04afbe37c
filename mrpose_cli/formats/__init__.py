"""Files of boxes and poses: COCO datasets and results, lines of JSON and CSV."""
