"""Channels for CSI feedback: site twin, COST 2100, TR 38.901 and files."""
