"""Data sources, one per file; `base` says what each of them hands out."""
