"""Multiply-accumulates of a forward pass, counted by torch below the level of layers.

Every matrix product and convolution is seen, in whatever layer or function it is carried out, and
counted by the formulas of `torch.utils.flop_counter`. This file adds the operations that these lack
on a CPU, and checks that the weights of every layer were counted.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from kdtasks.contract.errors import ConfigError

Shape = Sequence[int]

Formula = Callable[..., int]
"""Floating-point operations of an operation, two per multiply-accumulate."""

aten = torch.ops.aten


def _recurrent(sequence: Shape, of_input: Shape, of_state: Shape, *_: Any, **__: Any) -> int:
    """Count one layer and direction of an LSTM; the sequence is [steps, batch, features]."""
    return 2 * sequence[0] * sequence[1] * (prod(of_input) + prod(of_state))


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Count queries by keys, and what that gives by values; all are [.., steps, features]."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _bilinear(one: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(one[:-1]) * prod(weight)


def _vector(matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(matrix)


def _added_vector(_sum: Shape, matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(matrix)


def _added_batches(_sum: Shape, one: Shape, other: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(one) * other[-1]


FORMULAS: dict[Any, Formula] = {
    aten.mkldnn_rnn_layer: _recurrent,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._trilinear: _bilinear,
    aten.mv: _vector,
    aten.dot: _vector,
    aten.vdot: _vector,
    aten.addmv: _added_vector,
    aten.addbmm: _added_batches,
}
"""What torch's formulas lack."""

WITHOUT_PRODUCTS = frozenset(
    {
        "_embedding_bag",
        "_embedding_bag_forward_only",
        "add",
        "add_",
        "cat",
        "embedding",
        "gather",
        "index",
        "index_select",
        "native_layer_norm",
        "rsub",
        "stack",
        "sub",
        "where",
    }
)
"""Operations on weights and features that are free: look-ups, sums, normalisation."""


def count_macs(model: nn.Module, forward: Callable[[], None]) -> int:
    """Return the multiply-accumulates of ``forward``, which runs ``model`` without gradient.

    This counts matrix products, convolutions of all kinds, recurrent layers and attention, in
    layers and in functions; a product of complex numbers counts four. Where weights of several axes
    only multiply features one by one, every such product counts. Scales per channel, biases,
    normalisation, look-ups, activations, Fourier transforms and linear solvers are free.

    Raises:
        ConfigError: If weights of several axes are used in a way that cannot be counted, or an
            operation is not torch's own, such as a quantised layer.
    """
    formulas = FlopCounterMode(display=False, custom_mapping=FORMULAS).flop_registry
    counter = _MacCounter(model, formulas)
    with _separate_operations(), counter:
        forward()
    return counter.macs()


@contextmanager
def _separate_operations() -> Iterator[None]:
    """Let encoders of transformers run operation by operation: fused they cannot be counted."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class _MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts products, and sees how weights of several axes meet features.

    Args:
        model: Owner of the weights.
        formulas: Of the operations that are counted.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: nothing is compiled here, and torch would import its compiler for a second.

        `FlopCounterMode` itself does.
        """
        return False

    def __init__(self, model: nn.Module, formulas: Mapping[Any, Formula]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas = formulas
        self._weights = dict(model.named_parameters())
        constants = [*self._weights.values(), *model.buffers()]
        self._origins: dict[int, frozenset[str]] = {_place(one): frozenset() for one in constants}
        wide = {n: p for n, p in self._weights.items() if sum(size > 1 for size in p.shape) > 1}
        self._origins.update((_place(weight), frozenset({name})) for name, weight in wide.items())
        self._kept: list[Tensor] = []
        self._counted: set[str] = set()
        self._uses: dict[str, Counter[str]] = defaultdict(Counter)
        self._foreign: set[str] = set()
        self._flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry out an operation, and note which weights are in it."""
        kwargs, formula = kwargs or {}, self._formulas.get(func.overloadpacket)
        if not formula:
            with self:  # of several operations that are counted, perhaps
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        made = func(*args, **kwargs)
        results = _tensors(made)
        if formula:
            flops = formula(*args, **kwargs, out_val=made)
            self._flops += 4 * flops if results[0].is_complex() else flops
        elif func.namespace not in ("aten", "prim", "profiler"):
            self._foreign.add(func.name())
        self._trace(func.overloadpacket.__name__, _tensors((args, kwargs)), results, bool(formula))
        return made

    def _trace(self, name: str, given: list[Tensor], results: list[Tensor], counted: bool) -> None:
        """Note which weights are in an operation, and so in its results."""
        origins = [self._origins.get(_place(one)) for one in given if one.numel() > 1]
        names: frozenset[str] = frozenset().union(*filter(None, origins))
        if origins and None not in origins:  # views and functions of weights alone are weights
            self._kept += results  # as long as they live, nothing else lies in their place
            self._origins = {_place(one): names for one in results} | self._origins
        elif counted:
            self._counted |= names
        elif name not in WITHOUT_PRODUCTS:
            for weight in names:
                self._uses[weight][name] += results[0].numel()

    def macs(self) -> int:
        """Return all multiply-accumulates.

        Raises:
            ConfigError: As for `count_macs`.
        """
        if self._foreign:
            raise ConfigError(
                f"the work of {', '.join(sorted(self._foreign))} cannot be counted; "
                "count the network with operations of torch itself"
            )
        macs = self._flops // 2
        for name in self._uses.keys() - self._counted:
            products = self._uses[name]
            unknown = sorted(products.keys() - {"mul", "mul_"})
            if unknown:
                raise ConfigError(
                    f"weights {name}, shape {list(self._weights[name].shape)}: the products in "
                    f"{', '.join(unknown)} cannot be counted; write it as matrix product or "
                    "convolution"
                )
            macs += products.total()
        return macs


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _place(tensor: Tensor) -> int:
    """Return where a tensor's numbers lie; views share it."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else id(tensor)
