"""How a study is run: Ray Tune, Optuna, MLflow and the ledger."""
