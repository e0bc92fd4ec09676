"""Server and edges of a trial's network."""
