"""Labels: what stands where there is none."""

IGNORED = -100
"""Label of a slot whose best beam is not known; in no loss and in no denominator."""
