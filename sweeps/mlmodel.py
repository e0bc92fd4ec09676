"""The file by which MLflow's own loaders open an exported network: ``MLmodel``, plain YAML."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import yaml

from sweeps.export import ExportedPart

MLMODEL = "MLmodel"
"""Its name, beside the network."""


def mlmodel(part: ExportedPart) -> str:
    """Return what describes a network to ``mlflow.onnx.load_model`` and ``mlflow.pyfunc``.

    It names files and shapes alone: nothing in it is unpickled or run.

    Args:
        part: The network, an ONNX file beside this one.
    """
    described = {
        "flavors": {
            "onnx": {"data": part.onnx.path.name, "providers": ["CPUExecutionProvider"]},
            "python_function": {"data": part.onnx.path.name, "loader_module": "mlflow.onnx"},
        },
        "signature": {
            "inputs": _tensors(part.inputs),
            "outputs": _tensors(part.outputs),
            "params": None,
        },
        "utc_time_created": datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" "),
    }
    return yaml.safe_dump(described, sort_keys=False)


def _tensors(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return tensors of a batch as MLflow spells them."""
    tensors = [
        {"name": name, "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, *shape]}}
        for name, shape in shapes.items()
    ]
    return json.dumps(tensors)
