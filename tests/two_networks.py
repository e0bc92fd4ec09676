"""A task of two networks, as a user writes one: which of five clusters a point is of."""

import numpy as np
import torch
from torch import nn

from kdtasks.contract.settings import param
from kdtasks.distillation.splits import Splits, metric
from kdtasks.distillation.task import DistillationTask


def accuracy(outputs, targets):
    """Share of samples whose class is found."""
    return 100.0 * (outputs.argmax(-1) == targets).float().mean()


def cluster(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(5, size=count)
    centres = np.stack([np.cos(labels * 1.2566), np.sin(labels * 1.2566)], 1)
    return (centres + rng.normal(scale=0.35, size=(count, 2))).astype(np.float32), labels


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, width), nn.ReLU())
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.body(x))


class Clusters(DistillationTask):
    name = "clusters"
    parameters = {
        "width": param(4, low=1, high=64, unit="units"),
        "teacher_width": param(32, low=1, high=64, decides="teacher"),
        "points": param(300, low=50, high=2000, decides="data"),
    }
    features = ("body", "body")
    metrics = {"accuracy": metric(accuracy, unit="%", direction="maximize")}

    def data(self, p):
        splits = {"train": p.points, "val": 200, "test": 200}
        made = {name: cluster(count, n) for n, (name, count) in enumerate(splits.items())}
        return Splits(**made, source="drawn")

    def teacher(self, p):
        return Net(p.teacher_width)

    def student(self, p):
        return Net(p.width)


class Angle(DistillationTask):
    """Numbers instead of classes: where on the circle a point is."""

    name = "angle"
    metrics = {"mse": metric(nn.functional.mse_loss, direction="minimize")}

    def data(self, p):
        drawn = {}
        for n, name in enumerate(("train", "val", "test")):
            points = torch.from_numpy(cluster(200, n)[0])
            drawn[name] = (
                (points[:, :1], points[:, 1:]),
                torch.atan2(points[:, 1:], points[:, :1]),
            )
        return Splits(**drawn, source="drawn")

    def teacher(self, p):
        return Two(16)

    def student(self, p):
        return Two(3)


class Two(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, one, other):
        return self.net(torch.cat([one, other], -1))


def halved(student, teacher):
    """A loss of the user's own."""
    return 0.5 * (student - teacher).abs().mean()


class Noisy(Clusters):
    """Samples are changed at random in every batch, and edges have students of two widths."""

    name = "noisy"
    metrics = Clusters.scores
    edge_students = ({}, {"width": 9})

    def augment(self, batch, generator):
        return batch + 0.1 * torch.randn(batch.shape, generator=generator)


class Narrow(Clusters):
    """Its widest students lack classes."""

    name = "narrow"
    metrics = Clusters.scores

    def student(self, p):
        network = Net(p.width)
        if p.width >= 30:
            network.head = nn.Linear(p.width, 2)
        return network
