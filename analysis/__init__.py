"""What the results mean: fronts, statistics, plots and reports."""
