"""Metadata of the data for MLflow: one entry per split, with a digest, without the arrays."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kdtasks.contract.params import fingerprint
from kdtasks.contract.task import Arrays, ScenarioData
from sweeps.ledger.identity import Content
from sweeps.tracking.client import Dataset, DatasetInput, InputTag

GENERATED = "code"
"""MLflow's source type of data that a program generated, so that they have no address."""


def data_inputs(
    task: str, scenario: str, data: ScenarioData, content: Content
) -> Iterator[DatasetInput]:
    """Yield the metadata of the three splits of a scenario.

    They equal those of ``mlflow.log_input``, which would need the arrays or compute its own digest,
    and ``mlflow.data.get_source`` reads them. The digest has 16 digits of the SHA-256 of the
    digests of a split's arrays.
    """
    scalars = str | int | float | bool
    tags = {name: str(v) for name, v in data.provenance.items() if isinstance(v, scalars)}
    source = json.dumps({"tags": {**tags, "fingerprint": scenario}})
    splits = {"train": data.train, "val": data.val, "test": data.test}
    for split, arrays in splits.items():
        context = {"val": "validation"}.get(split, split)
        tensors = json.dumps([_tensor(name, array) for name, array in arrays.items()])
        yield DatasetInput(
            dataset=Dataset(
                name=f"{task} {context}",
                digest=fingerprint(content[split]),
                source_type=GENERATED,
                source=source,
                schema=json.dumps({"mlflow_tensorspec": {"features": tensors, "targets": None}}),
                profile=json.dumps(_profile(arrays)),
            ),
            tags=[InputTag("mlflow.data.context", context)],
        )


def _tensor(name: str, array: Any) -> Mapping[str, Any]:
    shape = [-1, *np.shape(array)[1:]] if np.ndim(array) else []
    spec = {"dtype": str(np.asarray(array).dtype), "shape": shape}
    return {"name": name, "type": "tensor", "tensor-spec": spec}


def _profile(arrays: Arrays) -> dict[str, Any]:
    shapes = {name: list(np.shape(array)) for name, array in arrays.items()}
    rows = {shape[0] for shape in shapes.values() if shape}
    size = sum(int(np.asarray(array).nbytes) for array in arrays.values())
    # arrays of another length, such as a codebook, belong to all samples
    return {"num_rows": max(rows, default=0), "nbytes": size, "shapes": shapes}
