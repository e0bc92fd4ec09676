"""The sweep in MLflow, and whether it agrees with the ledger."""
