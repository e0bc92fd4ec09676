"""Imitation of a teacher on real or synthesised scans, and the synthesis by inversion."""
