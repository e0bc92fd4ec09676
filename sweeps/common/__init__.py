"""What all rooms use: clock, interrupts, limits, records and events."""
