"""Reading, caching, checking and splitting arrays, whatever they mean."""
