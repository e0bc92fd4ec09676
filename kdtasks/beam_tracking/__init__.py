"""Beam tracking by camera, radar and position."""
