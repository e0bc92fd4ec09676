"""Networks as files for other programs: ONNX to run, safetensors to build upon.

An export is worth something only if it gives the same numbers: `OnnxNetwork` runs the file as a
node would, so that it can be judged as the network was.
"""

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import save
from torch import Tensor

from kdtasks.contract.deployable import Part

OPSET = 20
"""Version of ONNX's operators: of 2023, which runtimes on devices know by now."""

RUNTIME = f"onnxruntime {onnxruntime.__version__}"
"""What runs exported networks here."""

WARM_UP = 20
"""Passes before the time is taken."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one sample in one thread [ms].

    Attributes:
        median_ms: Middle of all passes.
        p95_ms: 95 % of them are not slower.
    """

    median_ms: float
    p95_ms: float


def write_onnx(part: Part, path: Path) -> None:
    """Write a network as ONNX in which the batch is free.

    Args:
        part: The network.
        path: The file.
    """
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in part.inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of libraries that we do not use
    with warnings.catch_warnings():
        # PyTorch's exporter warns of its own parts: deprecations, weights that an RNN regroups
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part.network,
            tuple(part.inputs.values()),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=[part.output],
            dynamic_shapes=(shapes,) if _takes_many(part) else shapes,
            external_data=False,
            verbose=False,
        )
    onnx.save(_plain(onnx.load(path)), path)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without the exporter's notes, which hold lines and paths of the source."""
    for entry in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del entry.metadata_props[:]
        entry.doc_string = ""
    return model


def _takes_many(part: Part) -> bool:
    """Return whether a network takes its inputs as ``*inputs``, which counts as one argument."""
    code = type(part.network).forward.__code__
    return bool(code.co_flags & 0x04)


def write_weights(part: Part, path: Path) -> None:
    """Write a network's state as safetensors."""
    state = {k: v.contiguous() for k, v in part.network.state_dict().items()}
    # save_file makes files that other users cannot read, whatever the umask
    path.write_bytes(save(state))


def write_int8(source: Path, path: Path) -> None:
    """Write an ONNX network with its weights as 8-bit integers; sums stay in floating point.

    Args:
        source: The network as it was exported.
        path: The file.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_dynamic(ready, path, weight_type=QuantType.QInt8)


class OnnxNetwork:
    """An exported network as a node runs it: ONNX Runtime, one thread.

    Args:
        path: The ONNX file.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._names = [entry.name for entry in self._session.get_inputs()]

    @property
    def output(self) -> tuple[str, tuple[int, ...]]:
        """Name and shape of one sample's output, without the batch; -1 where it is not fixed."""
        (entry,) = self._session.get_outputs()
        sizes = (size if isinstance(size, int) else -1 for size in entry.shape[1:])
        return entry.name, tuple(sizes)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the network's output."""
        return torch.from_numpy(self._run([part.numpy(force=True) for part in inputs]))

    def _run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        (output,) = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return np.asarray(output)

    def latency(self, inputs: Mapping[str, Tensor], repeats: int = 200) -> Latency:
        """Return how long one sample takes.

        Args:
            inputs: Samples; the first is run.
            repeats: How often.
        """
        first = [part[:1].numpy(force=True) for part in inputs.values()]
        times = []
        for _ in range(WARM_UP + repeats):
            begun_s = time.perf_counter()
            self._run(first)
            times.append(1e3 * (time.perf_counter() - begun_s))
        kept = times[WARM_UP:]
        return Latency(statistics.median(kept), float(np.quantile(kept, 0.95)))


def largest_difference(part: Part, call: OnnxNetwork, seed: int = 0, samples: int = 64) -> float:
    """Return the largest absolute difference between a network and its export.

    Args:
        part: The network.
        call: Its export.
        seed: Of the inputs, which are uniform in [0, 1].
        samples: How many.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = [(samples, *example.shape[1:]) for example in part.inputs.values()]
    inputs = [torch.rand(shape, generator=generator) for shape in shapes]
    with torch.inference_mode():
        expected = part.network(*inputs)
    return float((expected - call(*inputs)).abs().max())
