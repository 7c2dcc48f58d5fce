"""Layers without memory. PyTorch's names, shapes and first values. Imports `module` and the floors below."""

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np

from minigrad import random
from minigrad.core import as_value, draw
from minigrad.errors import ShapeError, UsageError
from minigrad.nn.module import Module, Parameter
from minigrad.ops.index import take, within
from minigrad.ops.linalg import linear
from minigrad.ops.reduce import standardize

Array = np.ndarray[Any, Any]


def uniform(shape: tuple[int, ...], bound: float) -> Parameter:
    """A float32 weight drawn from U[-bound, bound]."""
    return Parameter(random.generator().uniform(-bound, bound, shape).astype(np.float32))


def check_sizes(where: str, **sizes: Any) -> None:
    """Raise UsageError unless every size is an integer from 1 on."""
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise UsageError(f"{where}: {name} must be an integer from 1 on, not {size!r}.")


def check_share(where: str, name: str, value: Any) -> None:
    """Raise UsageError unless `value` is a probability below 1."""
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise UsageError(f"{where}: {name} must be from 0 up to, not including, 1, not {value!r}.")


class Linear(Module):
    """y = x Wᵀ + b;  x [..., D], y [..., H], W [H, D], b [H]. First values U[-1/√D, 1/√D]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = uniform((out_features, in_features), 1 / sqrt(in_features))
        self.bias = uniform((out_features,), 1 / sqrt(in_features)) if bias else None

    def forward(self, x: Any) -> Any:
        """[..., D] -> [..., H]."""
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A row of a table for each integer;  indices [...], y [..., D], weight [N, D] from a standard normal."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = Parameter(random.generator().standard_normal((num_embeddings, embedding_dim), dtype=np.float32))

    def forward(self, indices: Any) -> Any:
        """[...] -> [..., D].

        Raises:
            ShapeError: if an index is not in 0 .. N - 1.
        """
        n = len(self.weight)
        return take(self.weight, within(indices, low=0, high=n - 1, what=f"Embedding of {n} rows"), axis=0)


class LayerNorm(Module):
    """y = w (x - mean) / √(var + eps) + b over the last axis (Ba et al. 2016);  x, y [..., D], w, b [D]."""

    def __init__(self, normalized_shape: int, eps: float = 1e-5) -> None:
        check_sizes("LayerNorm", normalized_shape=normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(normalized_shape, np.float32))
        self.bias = Parameter(np.zeros(normalized_shape, np.float32))

    def forward(self, x: Any) -> Any:
        """[..., D] -> [..., D]."""
        x = as_value(x)
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
        x = as_value(x)
        if not self.training or not self.p:
            return x
        shape, dtype, p = x.shape, x.dtype, self.p

        def mask() -> Any:
            return ((random.generator().random(shape, dtype=np.float32) >= p) / (1 - p)).astype(dtype)

        return x * draw(mask)


class Sequential(Module):
    """One module after the other."""

    def __init__(self, *modules: Module) -> None:
        self.layers = list(modules)

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules, named by their place as in PyTorch."""
        yield from ((str(i), m) for i, m in enumerate(self.layers))

    def forward(self, x: Any) -> Any:
        """What the last module makes of what the one before made."""
        for module in self.layers:
            x = module(x)
        return x
