"""Checks and decisions before the first trial."""
