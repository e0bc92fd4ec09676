"""Beams: the format of frames and windows, and the metrics of beam prediction."""
