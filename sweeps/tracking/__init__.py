"""The sweep in MLflow, and checks that it agrees with the ledger."""
