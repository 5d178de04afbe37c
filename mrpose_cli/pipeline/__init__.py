"""Detect, crop, infer, decode: one streaming flow from frames to poses."""
