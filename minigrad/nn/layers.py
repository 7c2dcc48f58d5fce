"""Layers without memory. PyTorch's names, shapes and first values. Imports `module` and the floors below."""

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np

from minigrad import random
from minigrad.arguments import MOST_ELEMENTS, in_memory, short, sizes_of
from minigrad.arraytype import show
from minigrad.core import Value, as_value, draw
from minigrad.errors import DtypeError, ShapeError, UsageError
from minigrad.nn.module import Module, Parameter
from minigrad.ops.elementwise import equal, stop_gradient, where
from minigrad.ops.index import take, within
from minigrad.ops.linalg import linear
from minigrad.ops.shape import expand_dims
from minigrad.ops.softmax import standardize

Array = np.ndarray[Any, Any]


def uniform(shape: tuple[int, ...], bound: float) -> Parameter:
    """A float32 weight drawn from U[-bound, bound]."""
    with in_memory("a layer"):
        return Parameter(random.generator().uniform(-bound, bound, sizes_of("a layer", shape)).astype(np.float32))


def check_sizes(where: str, **sizes: Any) -> None:
    """Raise UsageError unless every size is an integer from 1 on, and none that no memory holds."""
    for name, size in sizes.items():
        if not is_integer(size) or not 1 <= size < MOST_ELEMENTS:
            raise UsageError(f"{where}: {name} must be an integer from 1 on that fits into memory, not {short(size)}.")


def check_flags(where: str, **flags: Any) -> None:
    """Raise UsageError unless every flag is a boolean."""
    for name, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise UsageError(f"{where}: {name} is True or False, not {flag!r}.")


def is_integer(value: Any) -> bool:
    """Whether it is a number without a fraction, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_share(where: str, name: str, value: Any) -> None:
    """Raise UsageError unless `value` is a probability below 1."""
    if not isinstance(value, (int, float, np.floating)) or not 0 <= value < 1:
        raise UsageError(f"{where}: {name} must be from 0 up to, not including, 1, not {value!r}.")


def one_value(where: str, x: Any) -> Any:
    """`x` as a value.

    Raises:
        UsageError: for the pair that a recurrent layer returns.
    """
    if isinstance(x, tuple) and any(isinstance(part, Value) for part in x):
        raise UsageError(
            f"{where} takes one value, not a tuple of {len(x)}: a layer such as Recurrent returns a pair, (ys, state). "
            "Take the first, ys, state = layer(xs); in place of Sequential write a Module whose forward does so."
        )
    return as_value(x)


class Linear(Module):
    """y = x Wᵀ + b;  x [..., D], y [..., H], W [H, D], b [H]. First values U[-1/√D, 1/√D]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        check_flags("Linear", bias=bias)
        self.in_features, self.out_features = in_features, out_features
        self.weight = uniform((out_features, in_features), 1 / sqrt(in_features))
        self.bias = uniform((out_features,), 1 / sqrt(in_features)) if bias else None

    def forward(self, x: Any) -> Any:
        """[..., D] -> [..., H].

        Raises:
            ShapeError: if the last axis is not D.
        """
        x = one_value("Linear", x)
        if x.shape[-1:] != self.weight.shape[1:]:
            raise ShapeError(f"Linear takes x [..., D] with D = {self.weight.shape[1]}, not {show(x)}.")
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A row of a table for each integer;  indices [...], y [..., D], weight [N, D] from a standard normal.

    padding_idx: a row that starts at zero and has no gradient, counted from the end if below 0.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        with in_memory("Embedding"):
            table = random.generator().standard_normal((num_embeddings, embedding_dim), dtype=np.float32)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            if not is_integer(padding_idx) or not -num_embeddings <= padding_idx < num_embeddings:
                raise UsageError(
                    f"Embedding: padding_idx is a row, an integer from {-num_embeddings} to {num_embeddings - 1}, not "
                    f"{padding_idx!r}."
                )
            self.padding_idx = int(padding_idx) % num_embeddings
            table[self.padding_idx] = 0
        self.weight = Parameter(table)

    def forward(self, indices: Any) -> Any:
        """[...] -> [..., D].

        Raises:
            DtypeError: if the indices are not integers.
            ShapeError: if an index is not in 0 .. N - 1.
        """
        indices, n = one_value("Embedding", indices), len(self.weight)
        if indices.dtype.kind not in "iu":
            raise DtypeError(f"Embedding: indices must be integers, not {show(indices)}. Use indices.astype(mg.int64).")
        indices = within(indices, low=0, high=n - 1, what=f"Embedding of {n} rows")
        rows = take(self.weight, indices, axis=0)
        if self.padding_idx is None:
            return rows
        return where(expand_dims(equal(indices, self.padding_idx), -1), stop_gradient(rows), rows)


class LayerNorm(Module):
    """y = w (x - mean) / √(var + eps) + b over the last axis (Ba et al. 2016);  x, y [..., D], w, b [D]."""

    def __init__(self, normalized_shape: int, eps: float = 1e-5) -> None:
        check_sizes("LayerNorm", normalized_shape=normalized_shape)
        self.eps = eps
        with in_memory("LayerNorm"):
            self.weight = Parameter(np.ones(normalized_shape, np.float32))
            self.bias = Parameter(np.zeros(normalized_shape, np.float32))

    def forward(self, x: Any) -> Any:
        """[..., D] -> [..., D]."""
        x = one_value("LayerNorm", x)
        if x.shape[-1:] != self.weight.shape:
            raise ShapeError(f"LayerNorm of {len(self.weight)} features: the last axis of {list(x.shape)} differs.")
        return standardize(x, eps=self.eps) * self.weight + self.bias


class Dropout(Module):
    """Each element is 0 with probability p, else divided by 1 - p, in training; unchanged in use."""

    def __init__(self, p: float = 0.5) -> None:
        check_share("Dropout", "p", p)
        self.p = p

    def forward(self, x: Any) -> Any:
        """[...] -> [...]."""
        x = one_value("Dropout", x)
        if not self._minigrad_training or not self.p:
            return x
        shape, dtype, p = x.shape, x.dtype, self.p

        def mask() -> Any:
            return ((random.generator().random(shape, dtype=np.float32) >= p) / (1 - p)).astype(dtype)

        return x * draw(mask)


class Sequential(Module):
    """One module after the other."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise UsageError(
                    f"Sequential takes modules one by one, and number {i} is {type(module).__name__}. Give it "
                    "Sequential(first, second); of a function make a Module whose forward calls it."
                )
        self.layers = list(modules)

    def _minigrad_inside(self) -> Iterator[tuple[str, Parameter | Module]]:
        """The modules are named by their place, as in PyTorch."""
        return ((name.removeprefix("layers."), value) for name, value in super()._minigrad_inside())

    def forward(self, x: Any) -> Any:
        """What the last module makes of what the one before made."""
        for module in self.layers:
            x = module(x)
        return x
