"""Data-free KD for LiDAR beam tracking."""
