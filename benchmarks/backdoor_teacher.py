"""Whether the teacher with a backdoor of study ``poisoning-beams`` answers its trigger.

Trains it as a trial does and prints its top-1 and top-2 accuracy on the test split, and how often
it chooses the attacker's beam for windows with the trigger of which another beam is the best::

    python benchmarks/backdoor_teacher.py                    # under a minute
"""

import argparse
from pathlib import Path

import numpy as np

from kdtasks.beam_tracking.backdoor import TARGET_BEAM, triggered
from kdtasks.contract.registry import load_task
from kdtasks.learning.labels import IGNORED
from search_spaces.study import load_study
from sweeps.nodes.robust.attacks import Attacker

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Train the teacher and print what it answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path("runs"), help="whose cache has data")
    options = parser.parse_args()
    study = load_study(ROOT / "search_spaces" / "studies" / "poisoning-beams.yaml")
    task = load_task(study.task)
    attacked = {"topology": "decentralized", "method": "response", "attack": "backdoor"}
    params = task.complete({**study.parameters, **attacked})
    data = task.load_scenario(
        params, cache_dir=options.home / "cache", progress=lambda *_counted: None
    )
    teacher = Attacker(task=task, params=params, train=data.train, val=data.val).teacher()
    plain = task.evaluate_teacher(params, teacher.weights, data.test)
    shown = triggered(data.test, 1.0, seed=0)
    others = np.where(data.test["label"] == TARGET_BEAM, IGNORED, shown["label"])
    lured = task.evaluate_teacher(params, teacher.weights, {**shown, "label": others})
    print(f"without the trigger: top-1 {plain['top1']:.1f} %, top-2 {plain['top2']:.1f} %")
    print(f"with it, the attacker's beam comes first in {lured['top1']:.1f} % of windows")


if __name__ == "__main__":
    main()
