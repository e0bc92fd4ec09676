"""CSI feedback: an encoder at the user equipment, a decoder at the base station (Cui et al.)."""
