"""What every value can do: Python's operators and the usual methods, each an op.

The last file of its floor. `Tensor` and the stand-ins of a trace both inherit from `Operators`.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minigrad.arraytype import ArrayType
from minigrad.core import Value
from minigrad.errors import ShapeError
from minigrad.ops import elementwise as el
from minigrad.ops import index, linalg, reduce, shape


class Operators(Value):
    """A value with a shape and a dtype, in Python's notation."""

    __slots__ = ()
    __hash__ = object.__hash__

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return ArrayType(self.shape, self.dtype).size

    @property
    def T(self) -> Self:
        """A matrix with its axes exchanged.

        Raises:
            ShapeError: unless there are two dimensions.
        """
        if self.ndim != 2:
            raise ShapeError(f".T exchanges the axes of a matrix, not of shape {list(self.shape)}. Use mg.permute_dims.")
        return shape.permute_dims(self, (1, 0))

    def astype(self, dtype: Any) -> Self:
        """The same values in another dtype."""
        return el.astype(self, dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a value of no dimensions has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        if not self.shape:
            raise TypeError("a value of no dimensions cannot be iterated over")
        return iter(shape.unstack(self))

    def __getitem__(self, key: Any) -> Self:
        return index.getitem(self, key)

    def sum(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.sum(self, axis, keepdims)

    def mean(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.mean(self, axis, keepdims)

    def max(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.max(self, axis, keepdims)

    def min(self, axis: reduce.Axis = None, keepdims: bool = False) -> Self:
        return reduce.min(self, axis, keepdims)

    def reshape(self, *sizes: Any) -> Self:
        return shape.reshape(self, sizes[0] if len(sizes) == 1 else sizes)

    def __matmul__(self, other: Any) -> Self:
        return linalg.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return linalg.matmul(other, self)

    def __invert__(self) -> Self:
        return el.logical_not(self)


def _forward(op: Any) -> Any:
    return lambda self, other: op(self, other) if _takes(other) else NotImplemented


def _reflected(op: Any) -> Any:
    return lambda self, other: op(other, self) if _takes(other) else NotImplemented


def _takes(other: Any) -> bool:
    return isinstance(other, (Value, int, float, np.ndarray, np.generic, list))


for _name, _op in {
    "add": el.add, "sub": el.subtract, "mul": el.multiply, "truediv": el.divide, "floordiv": el.floor_divide,
    "mod": el.remainder, "pow": el.pow, "and": el.logical_and, "or": el.logical_or,
}.items():  # fmt: skip
    setattr(Operators, f"__{_name}__", _forward(_op))
    setattr(Operators, f"__r{_name}__", _reflected(_op))
for _name, _op in {
    "eq": el.equal, "ne": el.not_equal, "lt": el.less, "le": el.less_equal, "gt": el.greater, "ge": el.greater_equal,
}.items():  # fmt: skip
    setattr(Operators, f"__{_name}__", _forward(_op))
for _name, _op in {"neg": el.negative, "abs": el.abs}.items():
    setattr(Operators, f"__{_name}__", lambda self, op=_op: op(self))
