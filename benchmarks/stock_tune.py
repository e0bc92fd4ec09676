"""A sweep of sleeping trials as Ray Tune's documentation writes it, for `benchmarks.dispatch`.

A function trainable, OptunaSearch with two objectives, a Tuner; no journal, no MLflow, no rungs.

Example::

    python -m benchmarks.stock_tune --trials 96 --slots 8 --epochs 3 --epoch-s 0.333 --log DIR
"""

import argparse
import logging
import tempfile
from typing import Any

import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from benchmarks.sleep_task import error_now, nap

logging.getLogger("ray.tune").setLevel(logging.ERROR)


def objective(config: dict[str, Any]) -> None:
    """Sleep, and report after every epoch."""
    for _ in range(config["epochs"]):
        nap(config["epoch_s"], config["log"])
        tune.report({"val_error": error_now(), "flops": 1000.0 * config["width"]})


def main() -> None:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--cpus", type=float, required=True, help="of a trial")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--epoch-s", type=float, required=True)
    parser.add_argument("--log", required=True, help="folder for the notes of the trials")
    parser.add_argument("--limited", action="store_true", help="set max_concurrent_trials")
    chosen = parser.parse_args()
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as storage:
        tune.Tuner(
            tune.with_resources(objective, {"cpu": chosen.cpus}),
            param_space={
                "x": tune.uniform(0.0, 1.0),
                "width": tune.randint(1, 1000),
                "epochs": chosen.epochs,
                "epoch_s": chosen.epoch_s,
                "log": chosen.log,
            },
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(metric=["val_error", "flops"], mode=["min", "min"]),
                num_samples=chosen.trials,
                max_concurrent_trials=chosen.slots if chosen.limited else None,
            ),
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        ).fit()


if __name__ == "__main__":
    main()
