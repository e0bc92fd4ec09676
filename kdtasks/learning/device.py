"""The device that this process computes on; no other file names one.

That is the CPU, until the engine has given the process a share of a GPU (`take_gpu`). In `using`,
tensors are then made there, whoever makes them: networks, losses and metrics need not know of it.
Three gates lead there and back: `kdtasks.learning.tensors.as_tensor`, `to_array`, and
`kdtasks.learning.random.initialised`. Whatever is drawn is drawn on the CPU and moved: the same
seed gives the same numbers on every device.
"""

import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kdtasks.contract.errors import UserError

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it products on a GPU are not deterministic; CUDA reads it when it starts."""

Precision = Literal["float32", "bf16"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=nn.Module | Tensor)

HOST = torch.device("cpu")
GPU = torch.device("cuda")
_MADE = {
    *(torch.arange, torch.asarray, torch.as_tensor, torch.empty, torch.eye, torch.full),
    *(torch.linspace, torch.logspace, torch.ones, torch.tensor, torch.tril_indices),
    *(torch.triu_indices, torch.zeros),
}
_DRAWN = {
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.rand_like, torch.randn_like),
    *(torch.bernoulli, torch.multinomial, torch.normal),
}
_Kept = OrderedDict[tuple[Any, ...], tuple[np.ndarray[Any, Any], Tensor]]

_device = HOST
_gpu_share = 0.0
_precision: Precision = "float32"
_kept: _Kept = OrderedDict()


class _Making(TorchFunctionMode):
    """Makes tensors where this process computes; draws on the CPU, and moves what it has drawn.

    Indices of samples stay on the CPU, too, until something there is looked up by them.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        given = dict(kwargs or {})
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor) and args[0].device != HOST:
            args = args[0], args[1].to(args[0].device, non_blocking=True)
        if _device == HOST or given.get("device") is not None:
            return func(*args, **given)
        if func in _DRAWN:
            with on_host():
                drawn: Tensor = func(
                    *(to_host(a) if isinstance(a, Tensor) else a for a in args), **given
                )
            return to_device(drawn)
        if func in _MADE:
            return func(*args, **{**given, "device": _device})
        return (_dropout if func is F.dropout else func)(*args, **given)


def _dropout(given: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Return what `torch.nn.functional.dropout` returns on the CPU, by the same draws."""
    if not training or not 0.0 < p < 1.0 or given.device == HOST:
        return F.dropout(given, p, training, inplace)
    kept = torch.empty(given.shape, device=HOST).bernoulli_(1.0 - p).div_(1.0 - p).to(given)
    return given.mul_(kept) if inplace else given * kept


def take_gpu(share: float) -> None:
    """Let this process compute on the GPU of which it was given a share.

    Args:
        share: Of one GPU, or GPUs; 0 for none.

    Raises:
        UserError: If torch cannot use it.
    """
    global _gpu_share
    if share and not torch.cuda.is_available():
        why = "finds none" if built_for_gpus() else "was built for CPUs alone"
        raise UserError(
            f"resources.gpus gives this process {share:g} GPU, and torch here {why}: "
            "set resources.gpus to 0, or see docs/gpu.md"
        )
    _gpu_share = share


def on_gpu() -> bool:
    """Return whether tensors are made on a GPU now."""
    return _device.type == GPU.type


@contextmanager
def using(device: str | torch.device) -> Iterator[None]:
    """Make and expect tensors on a device."""
    global _device
    before, wanted = _device, torch.device(device)
    if wanted == before:
        yield
        return
    _device = wanted
    try:
        with _Making():
            yield
    finally:
        _device = before


def on_host() -> AbstractContextManager[None]:
    """Make tensors on the CPU, wherever this process computes."""
    return using(HOST)


@contextmanager
def computing(
    *, precision: Precision = "float32", deterministic: bool = True, tf32: bool = False
) -> Iterator[None]:
    """Compute on this process's device.

    Args:
        precision: Of steps of training; with bf16 torch multiplies in bfloat16 where that is safe.
        deterministic: On a GPU take algorithms that give the same numbers again, and refuse
            operations that have none.
        tf32: There multiply float32 in TF32, which has 10 bits of mantissa.
    """
    global _precision
    coarse, _precision = _precision, precision
    try:
        with _on_gpu(deterministic=deterministic, tf32=tf32) if _gpu_share else _on_cpu():
            yield
    finally:
        _precision = coarse


@contextmanager
def _on_cpu() -> Iterator[None]:
    """Have torch's own algorithms for bfloat16.

    Those of oneDNN (torch 2.13) read memory that nothing was written to: the gradient of the
    weights of a convolution whose kernel is wider than its image is then any number.
    """
    onednn: Any = torch.backends.mkldnn  # its types do not let it be set
    before = onednn.enabled
    onednn.enabled = before and _precision == "float32"
    try:
        yield
    finally:
        onednn.enabled = before


@contextmanager
def _on_gpu(*, deterministic: bool, tf32: bool) -> Iterator[None]:
    cudnn: Any = torch.backends.cudnn  # its types do not name conv and rnn
    products = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [one.fp32_precision for one in products]
    strict = torch.are_deterministic_algorithms_enabled()
    try:
        _multiply_in(products, ["tf32" if tf32 else "ieee"] * len(products))
        torch.use_deterministic_algorithms(deterministic)
        with using(GPU):
            yield
    finally:
        torch.use_deterministic_algorithms(strict)
        _multiply_in(products, before)


def _multiply_in(products: Sequence[Any], formats: Sequence[str]) -> None:
    for one, number in zip(products, formats, strict=True):
        one.fp32_precision = number


def step() -> AbstractContextManager[Any]:
    """Enter the precision in which a step of training computes its loss."""
    if _precision == "float32":
        return nullcontext()
    return torch.autocast(_device.type, torch.bfloat16)


def in_float32(loss: Callable[P, R]) -> Callable[P, R]:
    """Have a loss compute in float32 even where the networks of a step multiply in bfloat16.

    Autocast does so on a GPU, but not on a CPU: there small distances between outputs would drown.
    """

    @wraps(loss)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        if _precision == "float32":
            return loss(*args, **kwargs)
        wide: Any = [_widened(value) for value in args]
        named: Any = {name: _widened(value) for name, value in kwargs.items()}
        with torch.autocast(_device.type, enabled=False):
            return loss(*wide, **named)

    return computed


def _widened(value: Any) -> Any:
    is_narrow = isinstance(value, Tensor) and value.dtype == torch.bfloat16
    return value.float() if is_narrow else value


def to_device(what: T) -> T:
    """Move a network, or a tensor, from the CPU to where this process computes; does not wait."""
    return what if _device == HOST else cast(T, what.to(_device, non_blocking=True))


def data_to_device(array: np.ndarray[Any, Any], tensor: Tensor) -> Tensor:
    """Move data, once: an array that nobody can write to stays there for the trials to come.

    At most half of this process's share of the memory is kept; what was not asked for longest goes.

    Args:
        array: The array.
        tensor: The same memory.
    """
    if _device == HOST:
        return tensor
    if array.flags.writeable:
        return tensor.to(_device)
    # the entry holds the array: as long as it is here, no other has its place in memory
    key = (_device, array.ctypes.data, array.shape, array.strides, array.dtype.str)
    if key not in _kept:
        _kept[key] = array, tensor.to(_device)
    _kept.move_to_end(key)
    found = _kept[key][1]
    while _kept and sum(one.nbytes for _, one in _kept.values()) > _room():
        _kept.popitem(last=False)
    return found


def _room() -> float:
    """Return how much may be kept [B]."""
    if not on_gpu():
        return float("inf")
    return 0.5 * _gpu_share * torch.cuda.get_device_properties(GPU).total_memory


def to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor's values as an array, on its memory if that is this machine's.

    NumPy knows no bfloat16; these become float32, without loss.
    """
    found: Tensor = _widened(tensor.detach().to(HOST))
    return found.numpy()


def to_host(tensor: Tensor) -> Tensor:
    """Return a tensor that whoever knows no device can read."""
    return tensor.to(HOST)


def numbers(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the values of scalars by name, after waiting once for the device."""
    return dict(zip(tensors, torch.stack([*tensors.values()]).tolist(), strict=True))


def seed_kernels(generator: torch.Generator) -> None:
    """Seed what draws within kernels of a GPU: dropout between recurrent layers, in attention.

    Args:
        generator: The CPU's, from whose state the seed follows; it does not move.
    """
    if on_gpu():
        torch.cuda.manual_seed(zlib.crc32(generator.get_state().numpy().tobytes()))


@contextmanager
def on_cores(model: nn.Module) -> Iterator[None]:
    """Have a network, and what is made, on the CPU inside."""
    where = next((t.device for t in model.state_dict().values()), HOST)
    try:
        with on_host():
            model.to(HOST)
            yield
    finally:
        model.to(where)


def wait() -> None:
    """Wait until the device has done what it was told."""
    if on_gpu():
        torch.cuda.synchronize()


def count_gpus() -> int:
    """Return how many GPUs torch can use in this process."""
    return torch.cuda.device_count()


def describe_gpus() -> list[str]:
    """Return name and memory of every GPU that torch can use."""
    found = map(torch.cuda.get_device_properties, range(count_gpus()))
    return [f"{one.name}, {one.total_memory / 2**30:.0f} GiB" for one in found]


def bytes_of_a_process() -> tuple[int, int]:
    """Return what a process takes of the GPU before it has data, and what of it is free [B].

    That is its context and the kernels of a step of training; this process holds them afterwards.
    """
    before, _ = torch.cuda.mem_get_info(GPU)
    network = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.LazyLinear(4))
    network.to(GPU)(torch.zeros(8, 2, 16, 16, device=GPU)).square().mean().backward()
    torch.cuda.synchronize()
    return before - torch.cuda.mem_get_info(GPU)[0], before


def built_for_gpus() -> bool:
    """Return whether this torch could use a GPU at all."""
    return torch.version.cuda is not None or torch.version.hip is not None
