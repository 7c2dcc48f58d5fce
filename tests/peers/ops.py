"""Every function of arrays, said once: `m` is minigrad, or PyTorch behind the same names (`Torch`, below).

Arrays of sizes 0 and 1, of no dimensions, broadcast against each other, turned and flipped in memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from peers.harness import Case, narrow, rng_of

import minigrad as mg

CASES: list[Case] = []
RENAMED = {
    "bitwise_invert": "bitwise_not", "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "cumulative_sum": "cumsum", "permute_dims": "permute", "expand_dims": "unsqueeze", "unstack": "unbind",
    "take_along_axis": "take_along_dim", "split": "tensor_split", "repeat": "repeat_interleave", "max": "amax",
    "min": "amin",
}  # fmt: skip
REDUCTIONS = ("sum", "mean", "max", "min", "var", "std", "all", "any", "logsumexp", "prod")


class Torch:
    """PyTorch under the array API's names."""

    def __getattr__(self, name: str) -> Any:
        import torch

        if name in REDUCTIONS:
            return partial(self.reduced, getattr(torch, RENAMED.get(name, name)))
        if name == "vecdot":
            return torch.linalg.vecdot
        places = (
            (torch.nn.functional, torch) if name in ("softmax", "one_hot", "linear") else (torch, torch.nn.functional)
        )
        return next(getattr(p, found) for p in places if hasattr(p, found := RENAMED.get(name, name)))

    @staticmethod
    def reduced(function: Any, x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        if function.__name__ != "prod":
            options = {"correction": 0, **options} if function.__name__ in ("var", "std") else options
            return function(x, axes, keepdim=keepdims, **options)
        for a in sorted((a % x.ndim for a in axes), reverse=True):
            x = function(x, a, keepdim=keepdims)
        return x

    @staticmethod
    def flip(x: Any, axis: Any = None) -> Any:
        import torch

        return torch.flip(x, tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis)

    @staticmethod
    def take(x: Any, indices: Any, axis: int) -> Any:
        return x[(slice(None),) * (axis % x.ndim) + (indices,)]

    @staticmethod
    def astype(x: Any, dtype: Any) -> Any:
        import torch

        return x.to(getattr(torch, np.dtype(dtype).name))

    @staticmethod
    def stop_gradient(x: Any) -> Any:
        return x.detach()

    float32, float64, int64 = np.float32, np.float64, np.int64


def enter(name: str, program: Callable[..., Any], *spans: Any, order: int = 2, dtypes: Any = ("f4", "f8")) -> None:
    """Put a case into the table; a span is an array, or (shape, low, high) to draw from."""
    rng = rng_of(name)
    inputs = [x if isinstance(x, np.ndarray) else rng.uniform(x[1], x[2], x[0]) for x in spans]
    if inputs and not any(x.dtype.kind == "f" for x in inputs):
        dtypes = ("f8",)
    arrays = tuple(np.asarray(narrow(x)) for x in inputs)
    CASES.append(Case(name, partial(program, mg), partial(program, Torch()), arrays, order, dtypes))


def laid_out(how: str, m: Any, x: Any) -> Any:
    """The same array in other memory: steps below 0, or the first axis as the fastest."""
    if how == "flipped":
        return m.flip(x)
    return m.permute_dims(x, tuple(range(x.ndim))[::-1]) if how == "turned" else x


# --- element by element -------------------------------------------------------------------------------------------

WIDE, ABOVE = (-3, 3), (0.5, 3)
ONE = {
    "abs": WIDE, "cos": WIDE, "exp": WIDE, "expm1": WIDE, "floor": WIDE, "log": ABOVE, "log1p": (-0.5, 3), "negative": WIDE,
    "reciprocal": ABOVE, "sigmoid": WIDE, "sign": WIDE, "sin": WIDE, "sqrt": ABOVE, "square": WIDE, "tan": (-1, 1),
    "tanh": WIDE, "erf": WIDE, "isfinite": WIDE, "isnan": WIDE, "logical_not": WIDE, "relu": WIDE, "leaky_relu": WIDE,
    "elu": WIDE, "gelu": WIDE, "silu": WIDE, "softplus": WIDE, "stop_gradient": WIDE,
}  # fmt: skip
TWO = {
    "add": (WIDE, WIDE), "subtract": (WIDE, WIDE), "multiply": (WIDE, WIDE), "divide": (WIDE, ABOVE), "pow": (ABOVE, WIDE),
    "remainder": (WIDE, ABOVE), "floor_divide": (WIDE, ABOVE), "logaddexp": (WIDE, WIDE), "maximum": (WIDE, WIDE),
    "minimum": (WIDE, WIDE), "equal": (WIDE, WIDE), "not_equal": (WIDE, WIDE), "less": (WIDE, WIDE),
    "less_equal": (WIDE, WIDE), "greater": (WIDE, WIDE), "greater_equal": (WIDE, WIDE), "logical_and": (WIDE, WIDE),
    "logical_or": (WIDE, WIDE),
}  # fmt: skip
SHAPES = [
    ((), ""),
    ((0,), ""),
    ((1,), ""),
    ((2, 0, 3), ""),
    ((3, 1, 2), ""),
    ((2, 3), "flipped"),
    ((2, 3, 2), "turned"),
]
PAIRS = [
    ((2, 3), (2, 3), ""), ((2, 3), (3,), ""), ((2, 1), (1, 3), ""), ((), (4,), ""), ((0, 3), (3,), ""), ((1,), (2, 2), ""),
    ((3, 2), (1, 2), "flipped"), ((2, 3), (2, 3), "turned"),
]  # fmt: skip


def on_one(name: str, how: str, m: Any, x: Any) -> Any:
    return getattr(m, name)(laid_out(how, m, x))


def on_two(name: str, how: str, m: Any, x: Any, y: Any) -> Any:
    return getattr(m, name)(laid_out(how, m, x), laid_out(how, m, y))


for name, span in ONE.items():
    for shape, how in SHAPES:
        enter(f"{name} {shape} {how}", partial(on_one, name, how), (shape, *span))
for name, (a, b) in TWO.items():
    order = 0 if name == "floor_divide" else 2
    for left, right, how in PAIRS:
        enter(f"{name} {left} {right} {how}", partial(on_two, name, how), (left, *a), (right, *b), order=order)
    if name not in ("divide", "pow", "logaddexp"):
        integers = np.array([[3, -2, 0], [1, 5, -7]]), np.array([2, -3, 5])
        enter(f"{name} of integers", partial(on_two, name, ""), *integers)

# --- over axes ----------------------------------------------------------------------------------------------------


def over_axes(name: str, axis: Any, keepdims: bool, how: str, options: Any, m: Any, x: Any) -> Any:
    x = laid_out(how, m, x)
    return getattr(m, name)(x > 0 if name in ("all", "any") else x, axis=axis, keepdims=keepdims, **options)


FULL = [(None, False), (0, False), (-1, True), ((0, 2), False), ((0, 1, 2), True)]
EMPTY = {"max": [0, 2], "min": [0, 2], "mean": [0, 2], "var": [0, 2], "std": [0, 2], "logsumexp": [0, 2]}
for name in REDUCTIONS:
    for axis, keepdims in FULL:
        for shape, how in [((2, 3, 4), ""), ((1, 1, 1), ""), ((2, 3, 2), "flipped"), ((2, 1, 3), "turned")]:
            if name == "std" and shape == (1, 1, 1):
                continue  # of equal elements: the slope is infinite there and 0 here
            called = f"{name} {shape} over {axis} {'kept' * keepdims} {how}"
            enter(called, partial(over_axes, name, axis, keepdims, how, {}), (shape, *ABOVE))
    for axis in EMPTY.get(name, [0, 1, (0, 1), None]):
        enter(f"{name} (2, 0, 3) over {axis}", partial(over_axes, name, axis, False, "", {}), ((2, 0, 3), *WIDE))
for name in ("var", "std"):
    enter(f"{name}, correction 1", partial(over_axes, name, 1, False, "", {"correction": 1}), ((3, 4), *WIDE))
BITS = np.array([[6, 5, -3], [0, 7, 12]]), np.array([[3, 1, 2], [5, 0, 4]])
for name in "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split():
    enter(name, lambda m, x, y, n=name: getattr(m, n)(x, y), *BITS, order=0)
enter("bitwise_invert", lambda m, x: m.bitwise_invert(x), BITS[0], order=0)
for name in ("argmax", "argmin"):
    for axis, keepdims in [(None, False), (0, False), (-1, True), (1, False)]:
        enter(f"{name} over {axis}", partial(over_axes, name, axis, keepdims, "", {}), ((3, 4), *WIDE))
for name in ("softmax", "log_softmax", "cumulative_sum"):
    for axis in (0, 1, -1):
        for shape in [(2, 3, 4), (3, 1, 2), (0, 2, 3), (1, 1, 1)]:
            program = lambda m, x, n=name, a=axis: getattr(m, n)(x, a)
            enter(f"{name} {shape} along {axis}", program, (shape, *WIDE))
