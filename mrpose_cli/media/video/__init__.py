"""Clips, cameras and streams in; overlays out."""
