"""Distillation of any two networks: a user's own data, teacher and student, and nothing else."""
