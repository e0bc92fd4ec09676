"""The server and the edges of a trial's network."""
