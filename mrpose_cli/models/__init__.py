"""Pose networks by name: normalised crops (N, 3, H, W) in, heatmaps (N, K, H/4, W/4) out."""

from mrpose_cli.models.checkpoint import load_weights, read_state_dict
from mrpose_cli.models.registry import create_model, list_models

__all__ = ["create_model", "list_models", "load_weights", "read_state_dict"]
