"""Everything checked and decided before the first trial."""
