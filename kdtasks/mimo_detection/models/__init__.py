"""Learnt detectors and what they see of a link."""
