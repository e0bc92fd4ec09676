"""Interactive figures of a sweep, one figure per file."""
