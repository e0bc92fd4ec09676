"""What encoder KD costs beside autoencoder KD, in core-seconds of student training.

Cui et al., "Lightweight Neural Network with Knowledge Distillation for CSI Feedback", Table VIII:
0.91 + 0.32 h beside 3.71 h, which is 33 %, of which the fine-tune is 9 %. Here both methods train
the same student on the same data and the same cached teacher, for equal epochs; encoder KD then
fine-tunes for a tenth of them. The repeats are interleaved, so that a busy machine slows both.

The last lines compare the training loop with a bare one on the same work, without and with
the reports that score the validation split after every epoch.

Example::

    python benchmarks/encoder_kd_cost.py --epochs 10 --repeats 3
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from kdtasks.contract.params import Value
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Outcome, ScenarioData, TeacherArtifact
from kdtasks.csi_feedback.methods.job import soft_picture_loss
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.settings import CsiSettings, resolve
from kdtasks.csi_feedback.students import make_decoder, make_encoder, plan_of
from kdtasks.csi_feedback.task import CsiFeedback
from kdtasks.learning.losses import codeword_mse
from kdtasks.learning.metrics import relative_errors
from kdtasks.learning.tensors import as_tensor

PAPER_RATIO = (0.91 + 0.32) / 3.71
LIMIT = 0.45
METHODS = ("autoencoder-kd", "encoder-kd")

TASK = CsiFeedback()
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What all measurements share.

    Attributes:
        params: Parameters of the trials, without method and seed.
        data: The splits.
        teacher: The teacher with its outputs on the training split.
    """

    params: Mapping[str, Value]
    data: ScenarioData
    teacher: TeacherArtifact


def main() -> int:
    """Measure, print a table and one line of JSON; 1 if encoder KD costs more than the limit."""
    options = parsed()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        bench = prepared(options, options.cache or Path(scratch))
    repeats = [measured(bench, seed) for seed in range(options.repeats)]
    result = summary(repeats) | {"params": dict(bench.params), "limit": options.limit}
    sys.stdout.write(table(result) + "\n" + json.dumps(result) + "\n")
    return int(result["ratio"]["median"] > options.limit)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="quick", help="preset of the CSI task (quick)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of either method (10)")
    parser.add_argument("--repeats", type=int, default=3, help="seeds of the student (3)")
    parser.add_argument("--teacher-epochs", type=int, help="instead of the preset's")
    parser.add_argument("--num-train", type=int, help="training samples instead of the preset's")
    parser.add_argument("--cache", type=Path, help="folder that keeps the data for the next time")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"largest ratio ({LIMIT})")
    options = parser.parse_args()
    if min(options.epochs, options.repeats) < 1:
        parser.error("--epochs and --repeats must be at least 1")
    return options


def prepared(options: argparse.Namespace, cache: Path) -> Bench:
    """Load the data and train the teacher."""
    params: dict[str, Value] = {
        "preset": options.preset,
        "epochs": options.epochs,
        "encoder_epochs": options.epochs,
        "finetune_epochs": max(1, round(options.epochs / 10)),
    }
    chosen = {"teacher_epochs": options.teacher_epochs, "num_train": options.num_train}
    params |= {name: value for name, value in chosen.items() if value is not None}
    data = TASK.load_scenario(params, cache_dir=cache, progress=lambda *_: None)
    teaching = TASK.train_teacher({**params, "method": "encoder-kd"}, data.train, data.val)
    return Bench(params=params, data=data, teacher=result_of(teaching))


def measured(bench: Bench, seed: int) -> dict[str, dict[str, float]]:
    """Train one student per method, and repeat the work of both first stages in a bare loop."""
    settings = resolve(bench.params)
    rows: dict[str, dict[str, float]] = {}
    bare = {"autoencoder-kd": bare_autoencoder, "encoder-kd": bare_encoder}
    for method in METHODS:
        start = time.process_time()
        outcome = student(bench, method, seed)
        whole = time.process_time() - start
        start = time.process_time()
        bare[method](bench, settings)
        rows[method] = {
            "train_core_seconds": outcome.metrics["train_core_seconds"],
            "first_stage_core_seconds": outcome.metrics["distill_core_seconds"],
            "with_reports_core_seconds": whole,
            "bare_core_seconds": time.process_time() - start,
            "val_nmse_db": outcome.metrics["val_nmse_db"],
            "test_nmse_db": score_on_test(bench, method, outcome),
            "teacher_forward_samples": outcome.metrics["teacher_forward_samples"],
        }
    return rows


def student(bench: Bench, method: str, seed: int) -> Outcome:
    """Train one student."""
    params = {**bench.params, "method": method, "seed": seed}
    training = TASK.train_student(params, bench.data.train, bench.data.val, bench.teacher)
    return result_of(training)


def score_on_test(bench: Bench, method: str, outcome: Outcome) -> float:
    """Return the NMSE on the test split [dB]."""
    params = {**bench.params, "method": method}
    return TASK.evaluate(params, outcome.weights, bench.data.test)["nmse_db"]


def bare_autoencoder(bench: Bench, settings: CsiSettings) -> None:
    """Do the arithmetic of autoencoder KD in a loop that does nothing else."""
    model = Autoencoder(make_encoder(settings, "light"), make_decoder(settings))
    pictures = as_tensor(bench.data.train["pictures"])
    targets = as_tensor(bench.teacher.outputs["pictures"])
    alpha, plan = settings.alpha, plan_of(settings)

    def loss(index: Tensor) -> Tensor:
        truth = pictures[index]
        output = model(truth)
        task = relative_errors(truth, output).mean()
        return (1.0 - alpha) * task + alpha * soft_picture_loss(output, targets[index], truth, plan)

    bare_loop(model, loss, settings)


def bare_encoder(bench: Bench, settings: CsiSettings) -> None:
    """Do the arithmetic of the first stage of encoder KD in a loop that does nothing else."""
    encoder = make_encoder(settings, "light")
    pictures = as_tensor(bench.data.train["pictures"])
    codewords = as_tensor(bench.teacher.outputs["codewords"])
    bare_loop(
        encoder, lambda index: codeword_mse(encoder(pictures[index]), codewords[index]), settings
    )


def bare_loop(model: nn.Module, loss: Callable[[Tensor], Tensor], settings: CsiSettings) -> None:
    """Train with Adam at one rate: no schedule, no terms, no reports, no checks."""
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(0)
    full = settings.num_train - settings.num_train % settings.batch_size
    for _ in range(settings.epochs):
        order = torch.randperm(settings.num_train, generator=generator)[:full]
        for index in torch.split(order, settings.batch_size):
            optimiser.zero_grad(set_to_none=True)
            loss(index).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()


def spread(values: list[float]) -> dict[str, float]:
    """Return the smallest, the middle and the largest value."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def summary(repeats: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return ratios per repeat, and every number of every repeat."""
    whole, first, bare = "train_core_seconds", "first_stage_core_seconds", "bare_core_seconds"
    reported = "with_reports_core_seconds"
    return {
        "ratio": spread([row["encoder-kd"][whole] / row[METHODS[0]][whole] for row in repeats]),
        "paper_ratio": PAPER_RATIO,
        "loop_over_bare": {
            method: spread([row[method][first] / row[method][bare] for row in repeats])
            for method in METHODS
        },
        "reports_over_bare": spread(
            [row[METHODS[0]][reported] / row[METHODS[0]][bare] for row in repeats]
        ),
        "methods": {
            method: {
                name: spread([row[method][name] for row in repeats]) for name in repeats[0][method]
            }
            for method in METHODS
        },
        "repeats": repeats,
    }


def table(result: Mapping[str, Any]) -> str:
    """Lay the result out for people."""
    heads = f"{'':34}{'min':>10}{'median':>10}{'max':>10}"
    lines = [f"student training, {len(result['repeats'])} interleaved repeats", heads]

    def line(label: str, numbers: Mapping[str, float], digits: int = 2) -> None:
        cells = "".join(f"{numbers[name]:>10.{digits}f}" for name in ("min", "median", "max"))
        lines.append(f"{label:34}{cells}")

    for method in METHODS:
        line(f"{method} [core-s]", result["methods"][method]["train_core_seconds"])
    for method in METHODS:
        line(f"{method} val NMSE [dB]", result["methods"][method]["val_nmse_db"])
        line(f"{method} test NMSE [dB]", result["methods"][method]["test_nmse_db"])
    line("encoder KD / autoencoder KD", result["ratio"], 3)
    for method in METHODS:
        line(f"{method} loop / bare loop", result["loop_over_bare"][method], 3)
    line(f"{METHODS[0]} with reports / bare", result["reports_over_bare"], 3)
    verdict = "kept" if result["ratio"]["median"] <= result["limit"] else "BROKEN"
    lines.append(
        f"paper: {result['paper_ratio']:.3f}; limit for the median: {result['limit']:g}, {verdict}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
