"""What a running sweep tells: terminal, log and status."""
