"""Copies of a sweep in storage that outlives its machine."""
