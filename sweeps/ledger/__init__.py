"""What a sweep records and stores: journal, weights, caches, and the identity of code and data."""
