"""The model card of an exported student, and the ``MLmodel`` file with which MLflow loads it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis import format as text
from analysis.frames import SweepFrames
from analysis.front_rows import reference_rows
from analysis.fronts import COSTS, confirmed, test_metric
from analysis.origin import origin_lines
from kdtasks.contract.params import Value
from sweeps.export.export import Exported, ExportedPart, OnnxFile
from sweeps.ledger.paths import put_text
from sweeps.tracking.client import Model, ModelSignature, Schema, TensorSpec

TEACHING = "teacher"
"""Part of the names of parameters about the teacher."""


CARD = "model-card.md"
"""Name of the card's file, beside the networks."""


def write_card(exported: Exported, frames: SweepFrames, folder: Path) -> Path:
    """Write the card of a student beside its networks and return its path.

    Raises:
        UserError: If it cannot be written.
    """
    path = folder / CARD
    put_text(path, card(exported, frames))
    return path


def card(exported: Exported, frames: SweepFrames) -> str:
    """Return the card in Markdown."""
    return "\n".join(_lines(exported, frames)) + "\n"


def results(exported: Exported, frames: SweepFrames) -> list[list[str]]:
    """Return the rows metric, PyTorch, ONNX, 8-bit, sweep's mean: test metrics of the objectives.

    Without such an objective, all scores of the task are shown.
    """
    named = [test_metric(objective) for objective in frames.study.objectives]
    metrics = [name.removeprefix("test_") for name in named if name] or sorted(exported.scores)
    return [_result(metric, exported, frames) for metric in metrics]


def _result(metric: str, exported: Exported, frames: SweepFrames) -> list[str]:
    info = exported.task.metrics.get(f"val_{metric}") or exported.task.metrics.get(metric)
    unit = info.unit if info else ""
    few = exported.int8_scores
    return [
        f"{metric} [{unit}]" if unit else metric,
        f"{exported.scores[metric]:.4f}",
        f"{exported.onnx_scores[metric]:.4f}",
        text.MISSING if few is None else f"{few[metric]:.4f}",
        text.tested(confirmed(frames, exported.trial.number, f"test_{metric}"), unit),
    ]


def _lines(exported: Exported, frames: SweepFrames) -> Iterator[str]:
    study, trial = frames.study, exported.trial
    config = trial.config
    yield f"# {study.title}: student of trial {trial.number}"
    yield f"\nTask `{study.task}`, sweep `{frames.name}` of study `{study.name}`."
    yield "\n## Networks\n"
    for part in exported.parts:
        yield from _network(part)
    yield "\n## Results on the test split\n"
    yield "| metric | PyTorch | ONNX | 8 bit | the sweep, mean ± 95 % over seeds |"
    yield "|---|---|---|---|---|"
    for row in results(exported, frames):
        yield f"| {' | '.join(row)} |"
    yield from _references(frames, trial.number)
    yield "\n## Complexity\n"
    yield from _complexity(exported)
    yield "\n## How it was trained\n"
    yield f"Method `{config.get('method', 'of the study')}`. All parameters of the trial:\n"
    yield from _parameters(config)
    yield "\n## Data\n"
    yield from (f"- {line}" for line in origin_lines(frames))
    yield f"- Licence: {_licence(frames.provenance)}"
    yield "\n## Known limits\n"
    yield from (f"- {line}" for line in _limits(frames))


def _references(frames: SweepFrames, number: int) -> Iterator[str]:
    """Yield a table of the teachers and baselines on the data of a trial, if there are any."""
    rows = reference_rows(frames, frames.trials[frames.trials["number"] == number])
    goals = {o: test for o in frames.study.objectives if (test := test_metric(o)) is not None}
    if not (rows and goals):
        return
    heads = [f"{o.label} {split}" for o in goals for split in ("validation", "test")]
    units = [f" [{o.unit}]" if o.unit else "" for o in goals for _ in range(2)]
    yield "\nTeachers and baselines on the same data, in the sweep:\n"
    yield f"| name | {' | '.join(map(''.join, zip(heads, units, strict=True)))} |"
    yield f"|---{'|---:' * len(heads)}|"
    for row in rows:
        tests = {metric: found["mean"] for metric, found in row["test"].items()}
        pairs = ((row[goal.metric], tests.get(test)) for goal, test in goals.items())
        cells = [text.level(value) for pair in pairs for value in pair]
        yield f"| {row['method']} | {' | '.join(cells)} |"


def _network(part: ExportedPart) -> Iterator[str]:
    name, weights = part.onnx.path.name, part.weights.name
    yield f"- **{part.name}** (`{name}`, weights `{weights}`): {part.about}"
    yield f"  {part.params} parameters, batch free. {_measured(part.onnx)}"
    if part.int8 is not None:
        yield f"  With 8-bit weights (`{part.int8.path.name}`): {_measured(part.int8)}"


def _measured(file: OnnxFile) -> str:
    size_kb, latency = file.path.stat().st_size / 1e3, file.latency
    return (
        f"{size_kb:.0f} kB. ONNX Runtime, one thread, one sample: {latency.median_ms:.3f} ms "
        f"(95th percentile: {latency.p95_ms:.3f} ms). Largest difference to PyTorch "
        f"{file.difference:.1e}."
    )


def _complexity(exported: Exported) -> Iterator[str]:
    """Yield every cost with the task's description of it."""
    for name in COSTS:
        info = exported.task.metrics.get(name)
        if name in exported.trial.metrics and info is not None:
            value = text.with_unit(text.number(exported.trial.metrics[name]), info.unit)
            yield f"- `{name}`: {value} ({info.description})"


def _parameters(config: Mapping[str, Value]) -> Iterator[str]:
    taught = {name: value for name, value in config.items() if TEACHING in name}
    yield "| parameter | value |"
    yield "|---|---|"
    for name, value in {**taught, **config}.items():
        yield f"| {name} | {value} |"


def _licence(provenance: Mapping[str, Any]) -> str:
    known = [facts for facts in provenance.values() if isinstance(facts, Mapping)]
    if named := sorted({str(facts["licence"]) for facts in known if "licence" in facts}):
        return "; ".join(named)
    made = [facts.get("synthetic") for facts in known]
    if made and all(made):
        return "the data were generated by this program; no third party has rights in them"
    return "that of the data named above; check it before you share this model"


def _limits(frames: SweepFrames) -> Iterator[str]:
    yield "These are the weights of one training; expect the mean over seeds from another."
    yield "It was chosen by validation among the trials of a sweep; only test results are unbiased."
    known = [facts for facts in frames.provenance.values() if isinstance(facts, Mapping)]
    made = [facts.get("synthetic") for facts in known]
    if any(made):
        yield "It was trained and tested on synthetic data; results on measured data are unknown."
    yield "Latency is of the machine that exported it."


MLMODEL = "MLmodel"
"""Name of the file, beside the network."""


def mlmodel(part: ExportedPart) -> str:
    """Return the YAML that describes a network to ``mlflow.onnx.load_model`` and ``mlflow.pyfunc``.

    MLflow's own ``save_model`` would write the network anew under another name; here the file that
    was measured and hashed is kept. Nothing is unpickled or run.
    """
    model = Model(signature=ModelSignature(_schema(part.inputs), _schema(part.outputs)))
    name = part.onnx.path.name
    model.add_flavor("onnx", data=name, providers=["CPUExecutionProvider"])
    model.add_flavor("python_function", data=name, loader_module="mlflow.onnx")
    return str(model.to_yaml())


def _schema(shapes: Mapping[str, tuple[int, ...]]) -> Schema:
    """Return the tensors of a batch."""
    float32 = np.dtype(np.float32)
    return Schema([TensorSpec(float32, (-1, *shape), name) for name, shape in shapes.items()])
