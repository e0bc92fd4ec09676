"""Nodes that lie, and what the others do about it: attacks, rules of aggregation, detection."""
