r"""Membership inference against what leaves a node of a deployment.

Members are samples that a node was trained on, non-members those of the same places that
``privacy_share`` has kept from all nodes: drawn by the same lot, neither trained nor selected on.
The attacker has other samples of the same kind, the validation split, on which it trains shadow
models. With :math:`\phi(f, x)` how well the outputs of model f fit sample x it takes for members
those with

- *threshold*: a large :math:`\phi(f, x)` (Yeom et al., "Privacy risk in machine learning", CSF
  2018, adversary 2)
- *calibrated*: a large :math:`\phi(f, x) - \frac1K \sum_k \phi(f_k, x)`, f_k shadow models that
  have not seen x. It is the offline attack of Carlini et al., "Membership inference attacks from
  first principles", IEEE S&P 2022, section VI, with one variance for all samples, as they advise
  for few shadow models; and the difficulty calibration of Watson et al., ICLR 2022.

Shadow models are students, also where the teacher is attacked: of its network an attacker who is
sent outputs alone knows nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdtasks.contract.collaboration import Guidance, LearnsOnShares, Shares, Stage, parted
from kdtasks.contract.deployment import NetworkSettings
from kdtasks.contract.errors import ConfigError
from kdtasks.contract.leakage import MeasuresLeaks
from kdtasks.contract.params import Params
from kdtasks.contract.reports import result_of
from kdtasks.contract.task import Arrays, TeacherArtifact
from kdtasks.learning.random import numpy_generator
from sweeps.nodes.privacy.membership import Sample, Scores, auc, judged, together

MOST_MEMBERS = 2000
"""Of a node, the first ones, which are any of them."""

Outputs = Callable[[Arrays], Arrays]
"""A model's outputs on samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanged:
    """Outputs of students, by edge, on the proxy samples in the last round, as they arrived."""

    samples: Arrays
    outputs: Mapping[str, Arrays]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What a trial of a task is given: completed parameters, whole splits, a teacher if any."""

    params: Params
    train: Arrays
    val: Arrays
    teacher: TeacherArtifact | None = None


def check_nonmembers(task: LearnsOnShares, params: Params, train: Arrays) -> None:
    """Check that there is a non-member to measure leaks on, if they are to be measured.

    Raises:
        ConfigError: If there is none.
    """
    settings = NetworkSettings.of(params)
    if not (settings.privacy_share and isinstance(task, MeasuresLeaks)):
        return
    outside = task.withheld(params, train)
    mutual = settings.topology == "mutual"
    nodes = outside.edges[: settings.honest_edges] if mutual else (outside.server,)
    if not any(task.sample_count(samples) for samples in nodes):
        raise ConfigError(
            f"privacy_share={settings.privacy_share:g}: no training sample of "
            f"{'any edge' if mutual else 'the server'} is withheld: raise it"
        )


class Auditor:
    """Scores samples of a finished deployment by its models, beside shadow models.

    Args:
        task: The task.
        trial: Of the deployment; with the server's teacher, if it has one.
        weights: Of all nodes, as `joined` names them.
        exchanged: Outputs that left edges, in a topology where they do.
    """

    def __init__(
        self, task: MeasuresLeaks, trial: Trial, weights: Arrays, exchanged: Exchanged | None
    ) -> None:
        self._task, self._trial, self._weights, self._exchanged = task, trial, weights, exchanged
        self._settings = NetworkSettings.of(trial.params)
        self._own = self._task.edge_params(trial.params, 0)
        self._shadows = [self._shadow(number) for number in range(self._settings.shadow_models)]
        self._calibrations: dict[int, Scores] = {}

    def metrics(self) -> dict[str, float]:
        """Return `kdtasks.contract.privacy.PRIVACY_METRICS`."""
        rng = numpy_generator(int(self._trial.params.get("seed", 0)), "privacy bootstrap")
        found = self._attacked()
        leaving = found["leaving"]
        members, others = leaving["calibrated"]
        of_threshold = leaving["threshold"]
        areas = {
            f"{name}_auc": auc(*(part.scores for part in attacks["calibrated"]))
            for name, attacks in found.items()
            if name != "leaving"
        }
        metrics = {
            **judged(members, others, rng),
            **areas,
            "threshold_auc": auc(*(part.scores for part in of_threshold)),
            "members": float(len(members.scores)),
            "nonmembers": float(len(others.scores)),
        }
        return {f"privacy_{name}": value for name, value in metrics.items()}

    def _attacked(self) -> dict[str, dict[str, tuple[Sample, Sample]]]:
        """Return scores of members and of others by model, ``leaving`` among them, and attack."""
        trial, mutual = self._trial, self._settings.topology == "mutual"
        owned = self._task.share_out(trial.params, trial.train, "train")
        outside = self._task.withheld(trial.params, trial.train)
        nodes = parted(self._weights)
        if mutual:
            edges = range(self._settings.honest_edges)
            students = [nodes[f"edge-{edge}"] for edge in edges]
            found = {"student": self._at_edges(students, owned, outside)}
            assert self._exchanged is not None, "edges exchange outputs in every round"
            copies = [self._copy(edge, self._exchanged) for edge in edges]
            return {**found, "leaving": self._at_edges(copies, owned, outside)}
        # all edges' students are alike, or of teachers that are
        student = nodes.get("received-0", nodes["edge-0"])
        pairs = owned.server, outside.server
        found = {"student": self._attacks([(self._model(0, student), *pairs)])}
        if trial.teacher is not None:
            teacher = self._task.teacher_of(trial.params, trial.teacher, 0)
            found["teacher"] = self._attacks([(self._teacher(teacher), *pairs)])
        sent = "teacher" if self._settings.topology == "decentralized" else "student"
        return {**found, "leaving": found[sent]}

    def _at_edges(
        self, weights: Sequence[Arrays], owned: Shares, outside: Shares
    ) -> dict[str, tuple[Sample, Sample]]:
        return self._attacks(
            [
                (self._model(edge, own), owned.edges[edge], outside.edges[edge])
                for edge, own in enumerate(weights)
            ]
        )

    def _attacks(
        self, targets: Sequence[tuple[Outputs, Arrays, Arrays]]
    ) -> dict[str, tuple[Sample, Sample]]:
        """Return the scores of both attacks: of all targets' members, and of the others."""
        found: dict[str, tuple[list[Sample], list[Sample]]] = {
            "threshold": ([], []),
            "calibrated": ([], []),
        }
        for outputs_of, members, others in targets:
            for side, samples in enumerate((members, others)):
                if not self._task.sample_count(samples):
                    continue
                for attack, sample in self._scored(outputs_of, samples).items():
                    found[attack][side].append(sample)
        return {attack: (together(ours), together(all_)) for attack, (ours, all_) in found.items()}

    def _scored(self, outputs_of: Outputs, samples: Arrays) -> dict[str, Sample]:
        some = self._task.sample_slice(samples, 0, MOST_MEMBERS)
        key = id(samples)  # they live as long as the attacks
        if key not in self._calibrations:
            fits = [self._fit(self._model(0, shadow), some) for shadow in self._shadows]
            self._calibrations[key] = np.mean(fits, axis=0)
        fit, usual = self._fit(outputs_of, some), self._calibrations[key]
        known = np.isfinite(fit) & np.isfinite(usual)
        clusters = self._task.sample_clusters(some)[known]
        return {
            "threshold": Sample(scores=fit[known], clusters=clusters),
            "calibrated": Sample(scores=(fit - usual)[known], clusters=clusters),
        }

    def _fit(self, outputs_of: Outputs, samples: Arrays) -> Scores:
        scores = self._task.fit_scores(self._trial.params, samples, outputs_of(samples))
        return scores.astype(np.float64)

    # --- models ---------------------------------------------------------------------------------

    def _model(self, edge: int, weights: Arrays) -> Outputs:
        params = self._task.edge_params(self._trial.params, edge)
        return lambda samples: self._task.outputs(
            params, weights, self._task.samples_for(params, samples)
        )[0]

    def _teacher(self, teacher: TeacherArtifact) -> Outputs:
        bare = TeacherArtifact(metrics={}, weights=teacher.weights, outputs={})
        return lambda samples: self._task.teacher_outputs(self._trial.params, bare, samples)[0]

    def _shadow(self, number: int) -> Arrays:
        """Train a shadow model on the attacker's samples without a part that others have."""
        count = self._settings.shadow_models
        samples = self._task.share_out(self._trial.params, self._trial.val, "val").server
        samples = self._task.samples_for(self._own, samples)
        total = self._task.sample_count(samples)
        begin, end = (round(total * place / (count + 1)) for place in (number, number + 1))
        data = self._task.samples_together(
            self._task.sample_slice(samples, 0, begin), self._task.sample_slice(samples, end, total)
        )
        stage = self._stage(f"shadow {number}", guidance_weight=0.0)
        return result_of(self._task.train_on(self._own, {}, data, None, stage)).weights

    def _copy(self, edge: int, exchanged: Exchanged) -> Arrays:
        """Train a copy of an edge's student on nothing but the outputs that it sent."""
        params = self._task.edge_params(self._trial.params, edge)
        outputs = exchanged.outputs[self._settings.edges[edge]]
        samples = self._task.samples_for(params, exchanged.samples)
        guidance = Guidance(samples=samples, outputs=outputs)
        stage = self._stage(f"copy {edge}", guidance_weight=1.0)
        return result_of(self._task.train_on(params, {}, samples, guidance, stage)).weights

    def _stage(self, stream_name: str, *, guidance_weight: float) -> Stage:
        """Train for as long as the deployment's students were."""
        settings = self._settings
        in_rounds = settings.rounds * settings.edge_epochs
        return Stage(
            epochs=in_rounds if settings.in_rounds else self._task.planned_epochs(self._own),
            rate=settings.edge_rate,
            guidance_weight=guidance_weight,
            server_part=True,
            stream_name=stream_name,
        )
