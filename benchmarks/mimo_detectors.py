"""How learnt MIMO detectors and inherited segments do, beside linear detection; no sweep, no Ray.

``detectors``: networks on i.i.d. Rayleigh channels with least-squares estimates, by the recipe of
512 channel uses per step and a cosine. ``learngene``: a collective over four links, then
individuals for a fifth one, 4x4 with a correlation of 0.6, from scratch and with a segment of two
units from the bottom, the middle and the top. ``references``: the detectors that nothing is
trained for, and LMMSE and EP as they are if they take the estimate for the channel.

Example::

    python benchmarks/mimo_detectors.py references
    python benchmarks/mimo_detectors.py detectors --steps 400 --seeds 3
    python benchmarks/mimo_detectors.py learngene --seeds 3 --collectives 1
"""

import argparse
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from kdtasks.contract.params import Value
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import ScenarioData
from kdtasks.mimo_detection.link.bit_errors import compare
from kdtasks.mimo_detection.link.sionna_detectors import detect, names_for
from kdtasks.mimo_detection.scores import by_snr
from kdtasks.mimo_detection.settings import resolve
from kdtasks.mimo_detection.students import linear_errors
from kdtasks.mimo_detection.task import MimoDetection

TASK = MimoDetection()
T = TypeVar("T")

TARGETS = ["4x4 qpsk kronecker-0.6", "4x4 qpsk rician-6", "4x4 qpsk cdl-A", "4x4 qpsk rayleigh"]
RECIPE: dict[str, Value] = {"batch_size": 512, "learning_rate": 2e-3, "schedule": "cosine"}
CONV: dict[str, Value] = {"width": 48, "depth": 5, "head_width": 64, "head_layers": 1}
UNROLLED: dict[str, Value] = {"family": "unrolled", "gauge": "lmmse", "skip": "lmmse"}
DETECTORS: dict[str, dict[str, Value]] = {
    "conv 4x4": {"target": "4x4 qpsk rayleigh", **CONV},
    "conv 4x4, noise-blind": {"target": "4x4 qpsk rayleigh", "noise_blind": True, **CONV},
    "unrolled 4x4": {"target": "4x4 qpsk rayleigh", "depth": 4, **UNROLLED},
    "unrolled 4x4, one layer": {
        "target": "4x4 qpsk rayleigh",
        "depth": 4,
        "shared": True,
        **UNROLLED,
    },
    "unrolled 2x2": {"target": "2x2 qpsk rayleigh", "depth": 2, "snr_low_db": 3.0, **UNROLLED},
    "unrolled 4x4 16-QAM": {
        "target": "4x4 16qam rayleigh",
        "depth": 4,
        "snr_low_db": 10.0,
        "snr_high_db": 28.0,
        **UNROLLED,
    },
}
ARMS: dict[str, dict[str, Value]] = {
    "scratch": {"method": "vanilla"},
    "bottom": {"method": "learngene", "gene_start": 0},
    "middle": {"method": "learngene", "gene_start": 3},
    "top": {"method": "learngene", "gene_start": 6},
}


def loaded(params: dict[str, Value]) -> ScenarioData:
    """Return the splits of a trial."""
    return TASK.load_scenario(params, cache_dir=Path(), progress=lambda *_: None)


def show(name: str, ratios: dict[str, float], seconds: float) -> None:
    """Print one line."""
    results = " ".join(f"{where} {ratio:.5f}" for where, ratio in ratios.items())
    print(f"{name:44s} {seconds:6.1f} s  {results}", flush=True)


def references(links: list[str], snr_db: float) -> None:
    """Print the BER of each reference on the test split, as it is and without the estimate's error.

    Args:
        links: Targets.
        snr_db: Where they are judged [dB].
    """
    for name in links:
        params: dict[str, Value] = {"preset": "standard", "target": name, "target_snr_db": snr_db}
        link = resolve(params).link
        seen = dict(by_snr(loaded(params).test))[snr_db]
        exact = replace(seen, pilot_energy=math.inf)
        for detector in names_for(link):
            start = time.process_time()
            ratios = {
                about: compare(detect(detector, link, uses), seen.bits_BNM).ratio
                for about, uses in {"BER": seen, "estimate taken as exact": exact}.items()
            }
            show(f"{detector} {link.name}", ratios, time.process_time() - start)


def detectors(names: list[str], steps: int, seeds: int) -> None:
    """Train detectors and print their BER on the test split beside those of LMMSE and ML."""
    for name in names:
        params = {**RECIPE, **DETECTORS[name], "steps": steps, "test_uses": 10_000}
        data = loaded(params)
        link = resolve(params).link
        linear = {f"{snr:g} dB": linear_errors(link, seen).ratio for snr, seen in by_snr(data.test)}
        show(f"LMMSE {link.name}", linear, 0.0)
        if "ML" in names_for(link):
            best = {
                f"{snr:g} dB": compare(detect("ML", link, seen), seen.bits_BNM).ratio
                for snr, seen in by_snr(data.test)
            }
            show("  ML over LMMSE", {n: best[n] / ratio for n, ratio in linear.items()}, 0.0)
        for seed in range(seeds):
            start = time.process_time()
            own = {**params, "seed": seed}
            outcome = result_of(TASK.train_student(own, data.train, data.val, None))
            spent = time.process_time() - start
            found = TASK.evaluate(own, outcome.weights, data.test)
            ratios = {n: found[f"ber_{n[:-3]}db"] / r for n, r in linear.items()}
            show(f"{name}, seed {seed}, over LMMSE", ratios, spent)


def learngene(arms: list[str], seeds: int, collectives: int, shared: dict[str, Value]) -> None:
    """Train individuals from scratch and with segments; print their adaptation curves."""
    data = loaded(shared)
    for expert in range(collectives):
        params = {**shared, "method": "finetune", "teacher_seed": expert}
        start = time.process_time()
        teacher = result_of(TASK.train_teacher(params, data.train, data.val))
        learnt = {n: v for n, v in teacher.metrics.items() if n.startswith("val_")}
        show(f"collective {expert}", learnt, time.process_time() - start)
        zero_shot = TASK.evaluate_teacher(params, teacher.weights, data.val)
        show("  on the target", {"15 dB": zero_shot["ber"]}, 0.0)
        for seed in range(5 * expert, 5 * expert + seeds):
            for name, arm in ((name, ARMS[name]) for name in arms):
                own: dict[str, Value] = {**shared, **arm, "seed": seed}
                if arm["method"] != "vanilla":
                    own["teacher_seed"] = expert
                start = time.process_time()
                outcome = result_of(TASK.train_student(own, data.train, data.val, teacher))
                curve = {
                    n.removeprefix("val_ber_after_"): v
                    for n, v in outcome.metrics.items()
                    if n.startswith(("val_ber_after_", "val_steps", "share_of_individual"))
                }
                show(f"{name}, seed {seed}", curve, time.process_time() - start)


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="what", required=True)
    zero = commands.add_parser("references")
    zero.add_argument("--links", nargs="+", default=TARGETS)
    zero.add_argument("--snr-db", type=float, default=15.0)
    one = commands.add_parser("detectors")
    one.add_argument("--names", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    one.add_argument("--steps", type=int, default=400)
    one.add_argument("--seeds", type=int, default=1)
    two = commands.add_parser("learngene")
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--collectives", type=int, default=2)
    two.add_argument("--steps", type=int, default=1000)
    two.add_argument("--stream-steps", type=int, default=750)
    two.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options: Any = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "references":
        references(options.links, options.snr_db)
    elif options.what == "detectors":
        detectors(options.names, options.steps, options.seeds)
    else:
        shared = {
            "preset": "standard",
            "steps": options.steps,
            "stream_steps": options.stream_steps,
        }
        learngene(options.arms, options.seeds, options.collectives, shared)


if __name__ == "__main__":
    sys.exit(main())
