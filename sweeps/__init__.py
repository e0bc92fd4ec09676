"""How a study is run: Ray Tune, Optuna, MLflow and the ledger."""

import os

# Ray reads this when it is imported: its servers then listen on loopback alone. A sweep runs on one
# machine; set it to 1 to let other machines in.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
