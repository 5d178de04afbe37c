"""mrpose: human poses from photos, clips and COCO."""

__version__ = "0.1.0"
