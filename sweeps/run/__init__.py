"""A sweep from start to report: site, phases, resumption."""
