"""Progress of a running sweep: terminal, log and status."""
