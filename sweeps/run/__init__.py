"""Runs a sweep from its start to its report, and resumes it."""
