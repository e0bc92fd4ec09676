"""Exports students as files and registers them as models."""
