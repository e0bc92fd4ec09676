"""Teachers, students and generators of LiDAR beam tracking."""
