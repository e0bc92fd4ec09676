"""A sweep of CSI feedback by knowledge distillation as one writes it by the book, without kdsweep.

Ray's `Tuner` with a function trainable, as Tune's guides have it; `OptunaSearch` with a
define-by-run space and two objectives, `MLflowLoggerCallback` on SQLite. `sweep_vs_plain.py`
measures kdsweep against it, so it is tuned as the guides explain: trials run at once
(`max_concurrent_trials`), on one thread each, in processes that are used again (`reuse_actors`);
the data are put into the object store once (`tune.with_parameters`). Every trial loads the trained
teacher from its file and runs it on every batch: its encoder alone where only codewords are wanted.

Networks, losses and data are those of kdtasks, for the students must be the same.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from optuna import Trial
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from kdtasks.csi_feedback.methods.job import soft_picture_loss
from kdtasks.csi_feedback.models.autoencoder import Autoencoder
from kdtasks.csi_feedback.settings import CsiSettings, resolve
from kdtasks.csi_feedback.students import make_decoder, make_encoder, new_student, plan_of
from kdtasks.csi_feedback.task import CsiFeedback
from kdtasks.learning.complexity import count
from kdtasks.learning.losses import codeword_mse
from kdtasks.learning.metrics import nmse, relative_errors
from kdtasks.learning.random import torch_generator
from kdtasks.learning.tensors import as_tensor
from kdtasks.learning.training import Schedule, run_frozen

RESULTS_FILE = "results.csv"
"""The last result of every trial."""


def space_of_both(trial: Trial) -> None:
    """Draw what both methods have."""
    trial.suggest_categorical("compression", [16, 32])
    if trial.suggest_categorical("encoder_depth", [0, 1, 2]) == 2:
        trial.suggest_categorical("encoder_width", [4, 8])
    trial.suggest_float("learning_rate", 2e-3, 1.6e-2, log=True)


def autoencoder_space(trial: Trial) -> None:
    """Draw a configuration of autoencoder KD."""
    space_of_both(trial)
    trial.suggest_float("alpha", 0.1, 0.95)
    trial.suggest_float("temperature", 1.0, 20.0, log=True)


def encoder_space(trial: Trial) -> None:
    """Draw a configuration of encoder KD."""
    space_of_both(trial)
    trial.suggest_float("finetune_rate", 5e-4, 4e-3, log=True)


SPACES: dict[str, Callable[[Trial], None]] = {
    "autoencoder-kd": autoencoder_space,
    "encoder-kd": encoder_space,
}


def teacher_file(folder: Path, compression: int) -> Path:
    """Return where a trained teacher is."""
    return folder / f"teacher-{compression}.pt"


def load_teacher(settings: CsiSettings, folder: Path) -> Autoencoder:
    """Load a frozen teacher."""
    teacher = Autoencoder(make_encoder(settings, "crnet"), make_decoder(settings))
    file = teacher_file(folder, settings.compression)
    teacher.load_state_dict(torch.load(file, weights_only=True))
    return teacher.eval().requires_grad_(False)


@dataclass
class Training:
    """One student, its teacher, and the losses it is trained by."""

    settings: CsiSettings
    teacher: Autoencoder
    pictures: Tensor
    val_pictures: Tensor

    def __post_init__(self) -> None:
        self.plan = plan_of(self.settings)
        self.student = new_student(self.settings, "")
        self.flops = count(self.student.encoder, self.settings.picture_shape).flops
        self.generator = torch_generator(self.settings.seed, "order")

    def task_loss(self, index: Tensor) -> Tensor:
        batch = self.pictures[index]
        return relative_errors(batch, self.student(batch)).mean()

    def distillation_loss(self, index: Tensor) -> Tensor:
        batch, alpha = self.pictures[index], self.plan.alpha
        with torch.no_grad():
            target = self.teacher(batch)
        output = self.student(batch)
        soft = soft_picture_loss(output, target, batch, self.plan)
        return (1 - alpha) * relative_errors(batch, output).mean() + alpha * soft

    def codeword_loss(self, index: Tensor) -> Tensor:
        batch = self.pictures[index]
        with torch.no_grad():
            target = self.teacher.encoder(batch)
        return codeword_mse(self.student.encoder(batch), target)

    def run(
        self, module: nn.Module, loss: Callable[[Tensor], Tensor], epochs: int, rate: float
    ) -> Iterator[None]:
        """Train; yields after each epoch."""
        schedule = Schedule(epochs=epochs, batch_size=self.plan.batch_size, learning_rate=rate)
        optimiser = torch.optim.Adam(module.parameters(), lr=rate)
        samples, size = len(self.pictures), self.plan.batch_size
        total = samples // size * epochs
        pace = LambdaLR(optimiser, lambda step: schedule.rate_share(step, total))
        for _ in range(epochs):
            module.train()
            order = torch.randperm(samples, generator=self.generator)
            for index in order[: samples // size * size].split(size):
                optimiser.zero_grad()
                loss(index).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimiser.step()
                pace.step()
            yield

    def autoencoder_kd(self) -> Iterator[None]:
        """Train the whole student; yields when there is a validation error to report."""
        plan = self.plan
        yield from self.run(self.student, self.distillation_loss, plan.epochs, plan.learning_rate)

    def encoder_kd(self) -> Iterator[None]:
        """Train the encoder, then both ends; yields when there is a validation error to report."""
        student, plan = self.student, self.plan
        encoder_epochs = self.run(
            student.encoder, self.codeword_loss, plan.encoder_epochs, plan.learning_rate
        )
        for _ in encoder_epochs:
            pass
        student.decoder = self.teacher.decoder.requires_grad_(True)
        yield from self.run(student, self.task_loss, plan.finetune_epochs, plan.finetune_rate)

    def report(self) -> None:
        """Report the student's metrics to Tune."""
        output = run_frozen(self.student, self.val_pictures)
        error = nmse(self.val_pictures, output).decibel
        tune.report({"val_nmse_db": error, "ue_flops": self.flops})


def train(
    config: dict[str, Any],
    fixed: dict[str, Any],
    teachers: Path,
    pictures: NDArray[np.float32],
    val_pictures: NDArray[np.float32],
) -> None:
    """Train one student: what Tune runs in a trial."""
    torch.set_num_threads(1)
    settings = resolve({**fixed, **config})
    training = Training(
        settings=settings,
        teacher=load_teacher(settings, teachers),
        pictures=as_tensor(pictures),
        val_pictures=as_tensor(val_pictures),
    )
    whole = settings.method == "autoencoder-kd"
    for _ in training.autoencoder_kd() if whole else training.encoder_kd():
        training.report()


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--method", choices=sorted(SPACES), required=True)
    parser.add_argument("--fixed", type=json.loads, required=True, help="fixed parameters, JSON")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of trained teachers")
    parser.add_argument("--cache", type=Path, required=True, help="folder of made data")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True, help="of the search")
    options = parser.parse_args()
    fixed = {**options.fixed, "method": options.method}
    data = CsiFeedback().load_scenario(fixed, cache_dir=options.cache, progress=lambda *_: None)
    ray.init(address="local", num_cpus=options.slots, include_dashboard=False)
    trainable = tune.with_parameters(
        train,
        fixed=fixed,
        teachers=options.teachers.resolve(),
        pictures=data.train["pictures"],
        val_pictures=data.val["pictures"],
    )
    out = options.out.resolve()
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                space=SPACES[options.method],
                metric=["val_nmse_db", "ue_flops"],
                mode=["min", "min"],
                seed=options.seed,
            ),
            num_samples=options.trials,
            max_concurrent_trials=options.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="plain",
            storage_path=str(out),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{out / 'mlflow.db'}", experiment_name="plain"
                )
            ],
        ),
    )
    tuner.fit().get_dataframe().to_csv(out / RESULTS_FILE)
    ray.shutdown()


if __name__ == "__main__":
    main()
