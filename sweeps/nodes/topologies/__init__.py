"""Topologies: which nodes train and what they send, one file each."""
