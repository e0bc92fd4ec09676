"""Links: symbols, channels, pilots and the detectors that are not learnt."""
