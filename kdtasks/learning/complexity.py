"""Complexity of a network, each convention named."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdtasks.contract.collaboration import TensorSpec
from kdtasks.learning.device import on_cores
from kdtasks.learning.mac_counter import count_macs
from kdtasks.learning.tensors import state_specs

FLOPS_PER_MAC = 2

PJ_PER_MAC = 4.6
"""Energy of a multiply-accumulate in 32-bit floating point [pJ]: 3.7 for the product and 0.9 for
the sum, in 45 nm at 0.9 V (Horowitz, "Computing's energy problem", ISSCC 2014)."""


MEASURED_S = 0.1
"""How long forward passes are measured for the latency of one [s]."""
PASSES = 15, 200
"""Least and greatest number of these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Complexity of one forward pass of one sample.

    Attributes:
        params: Trainable parameters, batch norm included.
        macs: Multiply-accumulate operations of matrix products, convolutions, recurrent layers and
            attention; see `kdtasks.learning.mac_counter`.
        flops: Floating-point operations. By Cui et al., eq. (13) and (14), a convolution counts
            ``2 H W (C_in K_h K_w + 1) C_out``, a dense layer ``(2 L_in - 1) L_out``; batch norm
            and activations are ignored. The formulas know no other products: each of these
            multiply-accumulates counts two.
    """

    params: int
    macs: int
    flops: int


def count(model: nn.Module, *input_shapes: Sequence[int]) -> Cost:
    """Count the cost of ``model`` for one input of each given shape (without batch).

    Raises:
        ConfigError: If the model has weights whose products cannot be counted.
    """
    beyond = 0  # what the formulas of Cui et al. count beyond two per multiply-accumulate

    def visit(module: nn.Module, _inputs: tuple[Tensor, ...], output: Output) -> None:
        nonlocal beyond
        elements = first(output).numel()
        beyond += -elements if isinstance(module, nn.Linear) else 2 * elements

    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    macs = count_macs(model, lambda: watch(model, input_shapes, layers, visit))
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Cost(params=params, macs=macs, flops=2 * macs + beyond)


Output = Tensor | tuple[Tensor | None, ...]
"""What a layer returns; recurrent and attention layers return tuples."""

Visit = Callable[[nn.Module, tuple[Tensor, ...], Output], None]


def first(output: Output) -> Tensor:
    """Return the sequence that a recurrent or attention layer made, or what another layer made."""
    made = output if isinstance(output, Tensor) else output[0]
    assert made is not None
    return made


def watch(
    model: nn.Module,
    input_shapes: Sequence[Sequence[int]],
    watched: Sequence[nn.Module],
    visit: Visit,
) -> None:
    """Run one sample through ``model`` and show ``visit`` what the watched modules make of it.

    Args:
        model: Evaluated without gradient; its mode is restored.
        input_shapes: Shape of each input, without batch.
        watched: Modules within the model.
        visit: Called with a module, its positional inputs and its output, for a batch of one.
    """
    handles = [module.register_forward_hook(visit) for module in watched]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(*(torch.zeros(1, *shape) for shape in input_shapes))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


def energy_uj(macs: float, pj_per_mac: float) -> float:
    """Return the energy of multiply-accumulates [uJ], at so many picojoules each.

    Arithmetic alone: fetching weights, features and frames from memory, control, leakage and the
    sensors themselves are not in it, and may well take more. It ranks networks by what they
    compute, no more.
    """
    return 1e-6 * pj_per_mac * macs


def training_bytes(model: nn.Module, input_shape: Sequence[int], batch_size: int) -> int:
    """Estimate the memory that one step of training by Adam takes at its peak [B].

    Weights and buffers; for every trained parameter its gradient and Adam's two moments; and what
    is kept for the backward pass, taken to be the outputs of all layers for one batch. Parameters
    that are frozen need no gradient and no moments, but what flows through them is kept. Buffers
    that kernels take for themselves are not in it. Beside the allocations of a real step that is
    5 % too little for a CSI autoencoder, and up to 60 % for one of its light encoders alone, which
    take little.

    Args:
        model: The model; parameters without ``requires_grad`` count as frozen.
        input_shape: Shape of one input, without batch.
        batch_size: Samples per step.
    """
    return held_bytes(model) + batch_size * kept_bytes(model, input_shape)


def held_bytes(model: nn.Module) -> int:
    """Return what training by Adam holds of a model, whatever the batch [B]; see above."""
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return state_bytes(model) + 3 * trained


def kept_bytes(model: nn.Module, *input_shapes: Sequence[int]) -> int:
    """Return the outputs of all layers for one sample [B], kept for the backward pass.

    Args:
        model: The model.
        input_shapes: Shape of each input, without batch.
    """
    kept = 0

    def visit(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Output) -> None:
        nonlocal kept
        kept += first(output).numel() * first(output).element_size()

    leaves = [module for module in model.modules() if not list(module.children())]
    watch(model, input_shapes, leaves, visit)
    return kept


def state_bytes(model: nn.Module) -> int:
    """Return the memory of a model's parameters and buffers [B]."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values())


def batch1_latency_ms(model: nn.Module, *input_shapes: Sequence[int]) -> float:
    """Median wall time of one forward pass of one sample on this CPU, one thread [ms].

    Of as many passes as take ``MEASURED_S``, but at least and at most ``PASSES``.
    """
    threads, was_training = torch.get_num_threads(), model.training
    least, most = PASSES
    times: list[float] = []
    try:
        torch.set_num_threads(1)
        with on_cores(model), torch.inference_mode():
            sample = [torch.zeros(1, *shape) for shape in input_shapes]
            model.eval()
            while len(times) < least or (len(times) < most and sum(times) < MEASURED_S):
                start = time.perf_counter()
                model(*sample)
                times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
        model.train(was_training)
    return 1e3 * statistics.median(times)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a network takes of the node that runs or trains it.

    Attributes:
        cost: Of a forward pass of one sample.
        sample_bytes: Outputs of all layers for a sample [B].
        held_bytes: What training holds whatever the batch [B].
        state_bytes: Parameters and buffers [B].
        tensors: Its state.
    """

    cost: Cost
    sample_bytes: int
    held_bytes: int
    state_bytes: int
    tensors: dict[str, TensorSpec]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a forward pass of one sample."""
        return self.cost.macs

    @property
    def metrics(self) -> dict[str, float]:
        """Parameters, multiply-accumulates and bytes of the network."""
        return {
            "params": float(self.cost.params),
            "macs": float(self.cost.macs),
            "model_bytes": float(self.state_bytes),
        }

    def batch_bytes(self, batch: int) -> int:
        """Return the memory that training takes at its peak with so many samples per step [B]."""
        return self.held_bytes + batch * self.sample_bytes


def size_of(model: nn.Module, *input_shapes: Sequence[int]) -> Size:
    """Return the size of a network for inputs of these shapes, without batch.

    Raises:
        ConfigError: If the model has weights whose products cannot be counted.
    """
    return Size(
        cost=count(model, *input_shapes),
        sample_bytes=kept_bytes(model, *input_shapes),
        held_bytes=held_bytes(model),
        state_bytes=state_bytes(model),
        tensors=state_specs(model),
    )
