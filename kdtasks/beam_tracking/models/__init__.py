"""Teachers and students of beam tracking."""
