"""Who is who from frame to frame, and how they move: ids, bridged gaps, smoothing, jitter."""
