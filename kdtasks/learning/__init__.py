"""What every system learns with: training, losses, metrics, cost, randomness, export."""
