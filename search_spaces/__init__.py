"""The study file: search space, objectives, budget, and the paper to compare with."""
