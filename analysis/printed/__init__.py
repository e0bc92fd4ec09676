"""Figures and tables of a sweep as a paper has them."""
