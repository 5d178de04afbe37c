"""Pose networks by name.

A network takes normalized crops (N, 3, H, W) and gives heatmaps (N, K, H/4, W/4); RTMPose gives a pair of
scores over columns and rows, (N, K, 2W) and (N, K, 2H).
"""

from mrpose_cli.models.checkpoint import load_checkpoint, load_weights, model_from_state, read_state_dict
from mrpose_cli.models.identify import convert, identify, load_model
from mrpose_cli.models.recognition import Recognized, recognize
from mrpose_cli.models.registry import ModelInfo, create_model, list_models, model_info
from mrpose_cli.models.summary import ModelSummary, describe

__all__ = [
    "ModelInfo",
    "ModelSummary",
    "Recognized",
    "convert",
    "create_model",
    "describe",
    "identify",
    "list_models",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "model_from_state",
    "model_info",
    "read_state_dict",
    "recognize",
]
