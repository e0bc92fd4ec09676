"""Published architectures, one per file; no training code."""
