"""What a sweep has done and keeps: journal, weights, caches, and the identity of code and data."""
