"""Encoder KD in which neither vendor sees the other's network."""
