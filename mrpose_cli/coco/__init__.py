"""COCO's JSON formats: datasets and results out, boxes in."""
